"""The Reader of lists of numbers."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pipeline.numbers import files
from pipeline.numbers.read import parse, probe
from pipeline.numbers.read.params import NumberCleanParams

from pipeline.modality.types.alike import Alike
from pipeline.modality.types.probe import Probe
from pipeline.modality.types.protocols import RawFolder
from pipeline.store.previous_build import code_digest
from pipeline.store.spill import Piece, Place


class NoSketches:
    """No list is compared with another."""

    def find_alike(self, numbers: Any, kinds: Any, *, correlation: float) -> Alike:
        """Return no pair."""
        del numbers, kinds, correlation
        columns = {"first": "int64", "second": "int64", "correlation": "float64", "turn": "int64"}
        pairs = pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in columns.items()})
        return Alike(pairs, flat=0, crowded=0)

    def likeness(self, number: int, others: Any) -> Any:
        """Return that none is like another."""
        del number
        return np.zeros(len(others))


class NumberReader:
    """Lists of numbers behind the protocol `Reader`."""

    params = NumberCleanParams
    notes: Mapping[str, str] = {}
    alarms = frozenset[str]()
    name_notes = frozenset[str]()
    carried: Mapping[str, str] = {}
    personal = frozenset[str]()
    placeholder = "'0'"
    resembling = "lists of zeros"
    repeated = "rounded lists"
    turns = ("none",)

    def refuse_unread(self, raw: Path, folder: RawFolder, label_file: Path | None) -> None:
        """Refuse nothing."""

    def refuse_other_tasks(self, raw: Path, folder: RawFolder) -> None:
        """Refuse nothing."""

    def code(self) -> str:
        """Return a digest of the code that decides what is seen of an item."""
        return code_digest(files, parse, probe, versions={"numpy": np.__version__})

    def look(self, params: NumberCleanParams) -> probe.NumberLook:
        """Return how files are looked at."""
        del params
        return probe.NumberLook()

    def fault(self, facts: Mapping[Any, Any], params: NumberCleanParams) -> tuple[str, str] | None:
        """Return the reason and detail of a list that is too short, or None."""
        if facts["length"] < params.min_length:
            return "too_short", f"{facts['length']} numbers, under {params.min_length}"
        return None

    def search(self, params: NumberCleanParams) -> dict[str, Any]:
        """Return nothing: there is no search."""
        del params
        return {}

    def sketches(self, pieces: Sequence[Piece], spill: Place) -> NoSketches:
        """Measure nothing."""
        del pieces, spill
        return NoSketches()

    def unread(self, like: Probe | None) -> Probe:
        """Return what an item that was not opened is taken for."""
        return Probe(facts=like.facts if like else (1,), sketch=bytes(4))

    def describe(self, probes: Sequence[Probe]) -> str:
        """Describe good items."""
        return f"lists of {min(int(each.facts[0] or 0) for each in probes)} numbers or more"

    def summary(self, kept: pd.DataFrame) -> dict[str, Any]:
        """Return the lengths there are."""
        return {"lengths": sorted({int(each) for each in kept["length"]})}


READER = NumberReader()
