"""Find what explains the answers of a model of a modality; a modality may have nothing."""

from importlib import import_module
from importlib.util import find_spec

from pipeline.modality.types.evidence import Explain

PART = "explain.explain"
"""The module of every modality that has one; tests read this too, for the imports of stages."""


def explainer(modality: str) -> Explain | None:
    """Return what explains the answers of a modality, if anything does."""
    if find_spec(f"pipeline.{modality}.explain") is None:
        return None
    found: Explain = import_module(f"pipeline.{modality}.{PART}").EXPLAIN
    return found
