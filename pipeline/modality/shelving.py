"""Find the Shelf of a modality."""

from importlib import import_module

from pipeline.modality.types.protocols import Shelf

PART = "shelf.shelf"
"""The module of every modality that holds it; tests read this too, for the imports of stages."""


def shelf(modality: str) -> Shelf:
    """Return the Shelf of a modality of `MODALITIES`."""
    found: Shelf = import_module(f"pipeline.{modality}.{PART}").SHELF
    return found
