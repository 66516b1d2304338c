"""Why a model answers as it does: what a modality may offer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from pipeline.store.shards import Array


class Example(Protocol):
    """An item, as it is shown."""

    @property
    def name(self) -> str:
        """What people know it by."""

    @property
    def told(self) -> str:
        """What it is, what it was taken for, and how surely."""

    def shots(self) -> Sequence[tuple[str, str]]:
        """Return sources of images for a page, and what they show."""


E = TypeVar("E", bound=Example, covariant=True)


@dataclass(frozen=True)
class Part(Generic[E]):
    """Examples in the order of `order`, of so many in all."""

    name: str
    total: int
    order: str
    examples: Sequence[E]

    def title(self) -> str:
        """Return what is shown."""
        return f"{self.name}: {len(self.examples)} of {self.total:,}, {self.order}"

    def some(self, count: int) -> "Part[E]":
        """Return fewer of them, spread evenly."""
        chosen = spread_evenly(len(self.examples), count)
        return replace(self, examples=[self.examples[at] for at in chosen])


@dataclass(frozen=True)
class Sheet(Generic[E]):
    """Examples that belong together: of one class, or of all values."""

    title: str
    parts: Sequence[Part[E]]


class Legend(NamedTuple):
    """What the colors of examples mean: the source of an image, and words."""

    source: str
    told: str


@dataclass(frozen=True)
class Evidence:
    """What was found on the test split.

    Attributes:
        report: Parts of report.json.
        places_N: Which of the answers were looked at, ascending.
        columns: Of these, what was measured, by name.
        sheets: Examples.
    """

    report: Mapping[str, Any]
    places_N: npt.NDArray[np.int64]
    columns: Mapping[str, np.ndarray]
    sheets: Sequence[Sheet[Any]]


class Explain(Protocol):
    """Why a model answers as it does."""

    title: str
    """Of the section in the model card."""

    def one(self, predictor: Any, row: Array) -> dict[str, Any]:
        """Predict an item by its row, and say why, in plain values."""

    def look(self, subject: Any, params: Any, machine: Any, bootstrap: Any) -> Evidence:
        """Look at the test split.

        Args:
            subject: The model, and what it answered: `pipeline.judge.answers.Subject`.
            params: `ExplainParams`.
            machine: Progress: `MachineParams`.
            bootstrap: The resamples behind intervals.
        """

    def warnings(self, report: Mapping[str, Any]) -> list[str]:
        """Return what must not be overlooked in report.json."""

    def findings(self, report: Mapping[str, Any]) -> list[str]:
        """Return what report.json says, in sentences."""

    def about(self, report: Mapping[str, Any]) -> str:
        """Return how it was found, in a sentence."""

    def tiles(self, report: Mapping[str, Any]) -> list[tuple[str, str]]:
        """Return numbers for the top of the model card, and what they are."""

    def legend(self) -> Legend:
        """Return what the colors of examples mean."""

    def write_sheets(self, folder: Path, sheets: Sequence[Sheet[Any]]) -> None:
        """Write an image for each sheet, `sheet-<number>-<title>` and a suffix."""


def spread_evenly(length: int, count: int) -> list[int]:
    """Return at most `count` of the places below `length`, both ends among them."""
    if length <= count:
        return list(range(length))
    return [int(each) for each in np.linspace(0, length - 1, count).round()]
