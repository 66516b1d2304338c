"""Find what tells which items of a modality hold little to learn from."""

from importlib import import_module
from importlib.util import find_spec

from pipeline.modality.types.protocols import Quality

PART = "explain.poor"
"""The module of every modality that has one; a modality need not."""


def quality(modality: str) -> Quality | None:
    """Return the Quality of a modality of `MODALITIES`, where it has one."""
    if find_spec(f"pipeline.{modality}.explain") is None:
        return None
    found: Quality = import_module(f"pipeline.{modality}.{PART}").QUALITY
    return found
