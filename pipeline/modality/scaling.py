"""Find the Scaling of a modality."""

from pipeline.modality.parts import part
from pipeline.modality.types.protocols import Scaling

PART = "shelf.scaling"
"""The module of every modality that holds it; tests read this too, for the imports of stages."""


def scaling(modality: str) -> Scaling:
    """Return the Scaling of a modality of `MODALITIES`."""
    found: Scaling = part(modality, PART, "SCALING")
    return found
