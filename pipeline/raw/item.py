"""One raw item before anybody has opened it, and all items of a raw folder."""

from dataclasses import dataclass
from typing import Literal

from pipeline.modality.table import MODALITIES

Layout = Literal[
    "label file", "class folders", "split folders", "item tables", "samples", "text tables"
]


@dataclass(frozen=True, slots=True)
class Item:
    """One raw item, before anybody has opened it; what is not known is None."""

    path: str
    label: str | None = None
    split: str | None = None
    group: str | None = None
    weight: float = 1.0
    meta: tuple[str, ...] | None = None
    row: int | None = None
    """Its place in the label file, from 0; None for a file without a row."""
    where: str = ""
    """Where its label stands, for error messages."""
    reason: str | None = None
    """Why it is quarantined unopened: a code of the manifest."""
    detail: str = ""


@dataclass(frozen=True)
class RawItems:
    """All items, sorted by path, and what was noticed while looking."""

    items: tuple[Item, ...]
    layout: Layout
    meta_names: tuple[str, ...] = ()
    ignored: int = 0
    warnings: tuple[str, ...] = ()
    modality: str = MODALITIES[0]
