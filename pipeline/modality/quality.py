"""Find what tells which items of a modality hold little to learn from."""

from pipeline.modality.parts import has_part, part
from pipeline.modality.types.protocols import Quality

PART = "explain.poor"
"""The module of every modality that has one; a modality need not."""


def quality(modality: str) -> Quality | None:
    """Return the Quality of a modality of `MODALITIES`, where it has one."""
    if not has_part(modality, PART):
        return None
    found: Quality = part(modality, PART, "QUALITY")
    return found
