"""Import one part of a modality: the only place that knows how a room and its parts are named."""

from importlib import import_module
from importlib.util import find_spec
from typing import Any


def part(modality: str, module: str, name: str) -> Any:
    """Return what a module of a modality's room holds by a name."""
    return getattr(import_module(f"pipeline.{modality}.{module}"), name)


def has_part(modality: str, module: str) -> bool:
    """Return whether the room of a modality has a module; a part that may be absent has none."""
    name = f"pipeline.{modality}.{module}"
    above = find_spec(name.rpartition(".")[0])  # else the next line would raise
    return above is not None and find_spec(name) is not None
