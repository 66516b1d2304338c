"""Find the Viewer of a modality."""

from pipeline.modality.parts import part
from pipeline.modality.types.protocols import Viewer

PART = "show.viewer"
"""The module of every modality that holds it; tests read this too, for the imports of stages."""


def viewer(modality: str) -> Viewer:
    """Return the Viewer of a modality of `MODALITIES`."""
    found: Viewer = part(modality, PART, "VIEWER")
    return found
