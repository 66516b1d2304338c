"""Find the Reader of a modality."""

from importlib import import_module

from pipeline.modality.protocols import Reader

PART = "read.reader"
"""The module of every modality that holds it; tests read this too, for the imports of stages."""


def reader(modality: str) -> Reader:
    """Return the Reader of a modality of `MODALITIES`."""
    found: Reader = import_module(f"pipeline.{modality}.{PART}").READER
    return found
