"""Find the Encoder of a modality."""

from pipeline.modality.parts import part
from pipeline.modality.types.protocols import Encoder

PART = "shelf.encoder"
"""The module of every modality that holds it; tests read this too, for the imports of stages."""


def encoder(modality: str) -> Encoder:
    """Return the Encoder of a modality of `MODALITIES`."""
    found: Encoder = part(modality, PART, "ENCODER")
    return found
