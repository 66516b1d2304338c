"""Find the Report of a modality."""

from pipeline.modality.parts import part
from pipeline.modality.types.protocols import Report

PART = "show.report"
"""The module of every modality that holds it; tests read this too, for the imports of stages."""


def report(modality: str) -> Report:
    """Return the Report of a modality of `MODALITIES`."""
    found: Report = part(modality, PART, "REPORT")
    return found
