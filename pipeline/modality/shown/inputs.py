"""Find the Input of a modality."""

from pipeline.modality.parts import part
from pipeline.modality.types.items import Input

PART = "show.input"
"""The module of every modality that holds it; tests read this too, for the imports of stages."""


def item_input(modality: str) -> Input:
    """Return the Input of a modality of `MODALITIES`."""
    found: Input = part(modality, PART, "INPUT")
    return found
