"""Find what explains the answers of a model of a modality; a modality may have nothing."""

from pipeline.modality.parts import has_part, part
from pipeline.modality.types.evidence import Explain

PART = "explain.explain"
"""The module of every modality that has one; tests read this too, for the imports of stages."""


def is_explained(modality: str) -> bool:
    """Return whether a modality has something that explains answers, without importing it."""
    return has_part(modality, PART)


def explainer(modality: str) -> Explain | None:
    """Return what explains the answers of a modality, if anything does."""
    if not is_explained(modality):
        return None
    found: Explain = part(modality, PART, "EXPLAIN")
    return found
