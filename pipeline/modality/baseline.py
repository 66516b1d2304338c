"""Find the plain model that a modality's networks are held against."""

from pipeline.modality.parts import has_part, part
from pipeline.modality.types.protocols import Baseline

PART = "baseline"
"""The module of every modality that has one; a modality need not."""


def baseline(modality: str) -> Baseline | None:
    """Return the Baseline of a modality of `MODALITIES`, where it has one."""
    if not has_part(modality, PART):
        return None
    found: Baseline = part(modality, PART, "BASELINE")
    return found
