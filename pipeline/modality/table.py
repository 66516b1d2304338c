"""The modalities: each is a room of `pipeline/` of the same name."""

from collections.abc import Mapping
from typing import Any

MODALITIES = ("picture", "text")
"""To add one, add its room (`files.py`, `read/reader.py`, `shelf/shelf.py`, `net/net.py`,
`show/show.py`, `show/report.py`) and a name here."""

OF_TEXT = "text"
"""The modality of the items of a raw folder where the params have `data.text`."""

_FIRST = "picture"
"""Files that name no modality are of this one; it is not written, so that they keep their bytes."""


def read_modality(record: Mapping[str, Any]) -> str:
    """Return the modality that a JSON record is of."""
    return str(record.get("modality", _FIRST))


def write_modality(modality: str) -> dict[str, str]:
    """Return what a JSON record says of its modality."""
    return {} if modality == _FIRST else {"modality": modality}
