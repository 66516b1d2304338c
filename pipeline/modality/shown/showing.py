"""Find the Show of a modality."""

from pipeline.modality.parts import part
from pipeline.modality.types.protocols import Show

PART = "show.show"
"""The module of every modality that holds it; tests read this too, for the imports of stages."""


def show(modality: str) -> Show:
    """Return the Show of a modality of `MODALITIES`."""
    found: Show = part(modality, PART, "SHOW")
    return found
