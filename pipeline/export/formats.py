"""What each modality says of its formats, and a file that was written."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeAlias

from torch import nn

from pipeline.export.program import Use
from pipeline.ground.tasks import KINDS
from pipeline.model.bundle import Bundle


@dataclass(frozen=True)
class Written:
    """A file that was written.

    Attributes:
        use: How it is used.
        model: What it computes, in this process.
        is_whole: Whether all that is around the network is in it; else its `use.py` has that.
        packages: That made it; their versions decide what it computes.
        notes: What else there is to say of it, for export.json.
    """

    use: Use
    model: nn.Module
    is_whole: bool
    packages: tuple[str, ...]
    notes: Mapping[str, Any]

    @property
    def file(self) -> str:
        """Its name."""
        return self.use.file


Writer: TypeAlias = Callable[[Path, Path, Bundle], Written]
"""Writes into a folder what a model.safetensors and its bundle say."""


class Exporter(Protocol):
    """What is particular to a modality."""

    WRITERS: Mapping[str, Writer]
    """By format."""

    def takes(self, written: Written, bundle: Bundle) -> dict[str, Any]:
        """Return what a file takes, with `name`, `dtype` and `shape`."""

    def steps(self, written: Written, bundle: Bundle) -> list[dict[str, Any]]:
        """Return the steps from an item to the network's outputs, in order, and what does each."""

    def program(self, use: Use, bundle: Bundle) -> str:
        """Return `use.py`."""

    def generated(self, count: int) -> list[bytes]:
        """Return items to compare on where there are no others, the same ones every time."""


def output_name(bundle: Bundle) -> str:
    """Return what a model gives in the end, in a word."""
    return KINDS[bundle.task].outputs
