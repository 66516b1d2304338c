"""Find what is written of the items of a modality, and by that a manifest's modality."""

from collections.abc import Iterable

from pipeline.modality.parts import part
from pipeline.modality.table import MODALITIES
from pipeline.modality.types.protocols import Facts

PART = "read.facts"
"""The module of every modality that holds it; tests read this too, for the imports of stages."""


def facts(modality: str) -> Facts:
    """Return the facts of a modality of `MODALITIES`."""
    found: Facts = part(modality, PART, "FACTS")
    return found


def modality_of(columns: Iterable[str]) -> str:
    """Return the modality whose facts are among a manifest's columns.

    Raises:
        ValueError: There is none.
    """
    there = set(columns)
    for modality in MODALITIES:
        if there.issuperset(facts(modality).columns):
            return modality
    raise ValueError(f"the columns are of no modality: {', '.join(sorted(there))}")
