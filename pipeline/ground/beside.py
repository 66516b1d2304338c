"""What a stage keeps beside its outputs: a journal, checkpoints, and the key that names both."""

from importlib import import_module
from types import ModuleType


def beside(name: str) -> ModuleType:
    """Return a module of `pipeline/keys/`, by its name there.

    It cannot change what a stage writes. Found by name, it is no part of the code that the stage
    imports, so that an edit of it trains nothing again.
    """
    return import_module(f"pipeline.keys.{name}")
