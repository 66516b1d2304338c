"""Find what says which files are items of a modality."""

from pipeline.modality import table
from pipeline.modality.parts import part
from pipeline.modality.types.protocols import Files

PART = "files"
"""The module of every modality that holds it; tests read this too, for the imports of stages."""


def files(modality: str) -> Files:
    """Return the Files of a modality of `MODALITIES`."""
    found: Files = part(modality, PART, "FILES")
    return found


def all_files() -> tuple[Files, ...]:
    """Return the Files of every modality, in the order of `MODALITIES`."""
    return tuple(map(files, table.MODALITIES))
