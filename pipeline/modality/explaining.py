"""Find what explains the answers of a model of a modality; a modality may have nothing."""

from importlib import import_module
from importlib.util import find_spec
from typing import Any, Protocol

from pipeline.ground.errors import ParamsError
from pipeline.store.shards import Array

PART = "explain.explain"
"""The module of every modality that has one; tests read this too, for the imports of stages."""


class Explain(Protocol):
    """Why a model answers as it does."""

    def one(self, predictor: Any, row: Array) -> dict[str, Any]:
        """Predict an item by its row, and say why, in plain values."""


def explains(modality: str) -> bool:
    """Return whether answers of a modality are explained."""
    return find_spec(f"pipeline.{modality}.explain") is not None


def explainer(modality: str) -> Explain:
    """Return what explains the answers of a modality.

    Raises:
        ParamsError: There is nothing.
    """
    if not explains(modality):
        raise ParamsError("explain", "is not there for items of this modality", got=modality)
    found: Explain = import_module(f"pipeline.{modality}.{PART}").EXPLAIN
    return found
