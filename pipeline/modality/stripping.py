"""Find the Strip of a modality."""

from pipeline.modality.parts import part
from pipeline.modality.types.stripping import Strip

PART = "strip.strip"
"""The module of every modality that holds it, if it has one."""


def strip_of(modality: str) -> Strip:
    """Return the Strip of a modality of `MODALITIES`."""
    found: Strip = part(modality, PART, "STRIP")
    return found
