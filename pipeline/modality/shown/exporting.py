"""Find how models of a modality are exported."""

from typing import Any

from pipeline.ground.errors import ParamsError
from pipeline.modality.parts import has_part, part
from pipeline.modality.table import MODALITIES

PART = "export.exporter"
"""The module of every modality that has one; a modality need not."""


def exporter(modality: str) -> Any:
    """Return the Exporter of a modality; the protocol is in the room `export`.

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
    return part(modality, PART, "EXPORT")
