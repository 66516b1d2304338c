"""Find how models of a modality are exported."""

from importlib import import_module
from types import ModuleType

from pipeline.ground.errors import ParamsError
from pipeline.modality.parts import has_part
from pipeline.modality.table import MODALITIES

PART = "export.formats"
"""The module of every modality that has one; a modality need not."""


def exporter(modality: str) -> ModuleType:
    """Return the module that writes models of a modality.

    Raises:
        ParamsError: There is none.
    """
    if modality not in MODALITIES or not has_part(modality, PART):
        raise ParamsError(
            "rootstock export",
            "knows no format for models of this modality",
            got=modality,
            remedy="use it with `rootstock predict`, `rootstock serve` or MLflow",
        )
    return import_module(f"pipeline.{modality}.{PART}")
