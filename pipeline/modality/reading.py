"""Find the Reader of a modality."""

from pipeline.modality import table
from pipeline.modality.parts import part
from pipeline.modality.types.protocols import Reader

PART = "read.reader"
"""The module of every modality that holds it; tests read this too, for the imports of stages."""


def reader(modality: str) -> Reader:
    """Return the Reader of a modality of `MODALITIES`."""
    found: Reader = part(modality, PART, "READER")
    return found


def all_readers() -> tuple[Reader, ...]:
    """Return the Readers of all modalities, in the order of `MODALITIES`."""
    return tuple(map(reader, table.MODALITIES))
