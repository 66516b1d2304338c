"""Find the Shelf of a modality."""

from pipeline.modality.parts import part
from pipeline.modality.types.protocols import Shelf

PART = "shelf.shelf"
"""The module of every modality that holds it; tests read this too, for the imports of stages."""


def shelf(modality: str) -> Shelf:
    """Return the Shelf of a modality of `MODALITIES`."""
    found: Shelf = part(modality, PART, "SHELF")
    return found
