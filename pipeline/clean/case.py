"""What judges are given: rules, and a table of items on its way through them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from pipeline.clean.kept_probes import KeptProbes
from pipeline.clean.near import NearDuplicates, NearRule
from pipeline.ground.params import Task
from pipeline.manifest.forgotten import Forgotten, forgotten, read_forgettings
from pipeline.manifest.manifest import KEPT
from pipeline.manifest.params import SplitParams
from pipeline.manifest.pins import Pin, read_pins
from pipeline.manifest.review import Decision, read_review
from pipeline.manifest.small_classes import Placed
from pipeline.manifest.split import Dealing
from pipeline.modality.reading import reader
from pipeline.modality.types.params import CleanParams
from pipeline.modality.types.protocols import Reader
from pipeline.store.spill import MEMORY, Place


@dataclass(frozen=True)
class Rules:
    """What decides what is kept, and where: sections of params.yaml, and what people wrote."""

    task: Task
    clean: CleanParams
    split: SplitParams
    pins: Mapping[str, Pin] = field(default_factory=dict)
    """By item id: `pins.read_pins`."""
    decisions: Mapping[str, Decision] = field(default_factory=dict)
    """By item id: `review.read_review`."""
    forgotten: Forgotten = field(default_factory=Forgotten)
    """What must not be used: `forgotten.read_forgettings`."""

    @classmethod
    def read(
        cls, task: Task, clean: CleanParams, split: SplitParams, *, review: Path, raw: Path
    ) -> "Rules":
        """Join params with what the folder of reviews says of the items of a raw folder.

        Raises:
            DataError: A file of reviews is wrong.
        """
        gone = forgotten(read_forgettings(review))
        return cls(task, clean, split, read_pins(review, raw), read_review(review, raw), gone)


class Verdict(NamedTuple):
    """Why a row of the table, by its index, is not kept."""

    row: Any
    status: str
    reason: str
    detail: str = ""


@dataclass
class Case:
    """A table of items on its way through the judges, and what they learn.

    Attributes:
        table: From `tabulate`; written into.
        probes: Of the items that were opened.
        rules: What is kept, and where.
        modality: Of the items.
        where: The data folder.
        spill: Where sketches lie meanwhile.
        warnings: What people should be told.
        dealing: How splits are dealt.
        filled: The labels that were filled in, by the table's index.
        identical: Pairs of equal items in two given splits.
        placed: What became of the classes that have no item in train.
        compared: Label and split of what was searched for near-duplicates.
        near: What was found there.
    """

    table: pd.DataFrame
    probes: KeptProbes
    rules: Rules
    modality: str
    where: str
    spill: Place = MEMORY
    warnings: list[str] = field(default_factory=list)
    dealing: Dealing = field(init=False)
    filled: pd.Series = field(init=False)
    identical: pd.DataFrame = field(init=False)
    placed: Placed = field(init=False)
    compared: pd.DataFrame = field(init=False)
    near: NearDuplicates = field(init=False)

    @property
    def reader(self) -> Reader:
        """Return the Reader of the items."""
        return reader(self.modality)

    def kept(self, *names: str) -> pd.DataFrame:
        """Return columns of the rows that no judge has set aside; a copy, so name few."""
        return self.table.loc[self.table["status"] == KEPT, list(names)]

    @property
    def is_classification(self) -> bool:
        """Return whether labels are class names."""
        return self.rules.task == "classification"

    @property
    def near_rule(self) -> NearRule:
        """Return what decides which items are nearly the same."""
        params = self.rules.clean
        search = self.reader.search(params)
        return NearRule(
            params.near_duplicates, params.near_correlation, search, self.reader, self.rules.task
        )

    def decided(self, action: str) -> set[str]:
        """Return the ids of items on which people decided so."""
        every = self.rules.decisions.items()
        return {each for each, decision in every if decision.action == action}
