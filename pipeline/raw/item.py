"""One raw item before anybody has opened it, and all items of a raw folder."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from operator import attrgetter
from typing import Any, Literal

import pyarrow as pa

from pipeline.modality.table import MODALITIES
from pipeline.store.kept import Kind

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


def _item(*values: Any) -> Item:
    path, label, split, group, weight, meta, *rest = values
    return Item(path, label, split, group, weight, None if meta is None else tuple(meta), *rest)


_TYPES = {"weight": pa.float64(), "row": pa.int64(), "meta": pa.list_(pa.large_string())}
_NAMES = [each.name for each in fields(Item)]
ITEMS: Kind[Item] = Kind(
    pa.schema([(name, _TYPES.get(name, pa.large_string())) for name in _NAMES]),
    attrgetter(*_NAMES),
    _item,
)
"""Items in columns."""


@dataclass(frozen=True)
class RawItems:
    """All items, sorted by path, and what was noticed while looking."""

    items: Sequence[Item]
    layout: Layout
    meta_names: tuple[str, ...] = ()
    ignored: int = 0
    warnings: tuple[str, ...] = ()
    modality: str = MODALITIES[0]
