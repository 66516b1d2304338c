"""Items in columns: what is known before they are opened, and the table that judges work on."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.clean.kept_probes import KeptProbes
from pipeline.manifest.manifest import KEPT, META, QUARANTINED, TEXT, column_types
from pipeline.modality.facts import facts
from pipeline.raw.item import ITEMS, RawItems
from pipeline.store.kept import Kept

_OF_ITEMS = ("path", "label", "split", "group", "weight")
_FAULT = ("reason", "detail")


@dataclass(frozen=True)
class Listed:
    """All items before they are opened, in columns: a tenth of the memory of `RawItems`."""

    found: RawItems
    """What was noticed while looking; its items are left out."""
    table: pd.DataFrame
    """The manifest's columns that are known without opening an item, row, where and detail."""
    is_open: npt.NDArray[np.bool_]
    """Which items are opened: not those that their path speaks against."""

    @property
    def openable(self) -> Sequence[str]:
        """Return the paths of the items that are opened; each is made when it is asked for."""
        paths = self.table["path"].array
        return cast(Sequence[str], paths if self.is_open.all() else paths[self.is_open])


def list_items(found: RawItems) -> Listed:
    """Lay items into columns; the caller may then forget them."""
    items = Kept.of(found.items, ITEMS)
    names = (*_OF_ITEMS, "row", "where", "reason", "detail")
    columns = {name: items.column(name) for name in names}
    meta = items.column("meta")
    columns |= {META + name: pc.list_element(meta, at) for at, name in enumerate(found.meta_names)}
    types = column_types(found.modality) | {"row": pd.Int64Dtype()}
    table = pd.DataFrame({name: _column(types.get(name, TEXT), columns[name]) for name in columns})
    reasons = columns["reason"]
    is_open = pc.or_(pc.is_null(reasons), pc.fill_null(pc.equal(reasons, "conflict"), False))
    return Listed(replace(found, items=()), table, is_open.to_numpy())


def tabulate(listed: Listed, probes: KeptProbes) -> pd.DataFrame:
    """Join items and probes to one table: the manifest's columns, and what only judging needs.

    Args:
        listed: The items.
        probes: Of those that are opened, in their order. `sketch` holds their places.
    """
    table, is_open = listed.table, listed.is_open
    rows, places = np.flatnonzero(is_open), np.where(is_open, is_open.cumsum() - 1, -1)
    told = {name: _texts(table[name]) for name in _FAULT}
    for place, *fault in probes.faults():
        for name, text in zip(_FAULT, fault, strict=True):
            told[name][rows[place]] = text
    notes = _objects([()] * len(table))
    for row, each in zip(rows, probes.notes(), strict=True):
        notes[row] = each
    modality = listed.found.modality
    types, own = column_types(modality), facts(modality).columns
    meta = [name for name in table.columns if name.startswith(META)]
    return pd.DataFrame(
        {name: table[name] for name in (*_OF_ITEMS, "row", "where")}
        | {
            name: _column(types.get(name, TEXT), probes.column(name, places))
            for name in ("id", *own, "content_hash")
        }
        | {"status": _column(TEXT, [QUARANTINED if each else KEPT for each in told["reason"]])}
        | {name: _column(TEXT, told[name]) for name in _FAULT}
        | {name: table[name] for name in meta}
        | {"notes": notes, "sketch": places}
    )


def _texts(column: Any) -> npt.NDArray[np.object_]:
    texts: npt.NDArray[np.object_] = column.to_numpy(dtype=object, na_value=None)
    return texts


def _column(kind: Any, values: Any) -> Any:
    if isinstance(kind, np.dtype):
        return np.asarray(values, dtype=kind)
    if isinstance(values, pa.ChunkedArray):
        return kind.__from_arrow__(values)
    return pd.array(list(values), dtype=kind)


def _objects(values: Sequence[Any]) -> npt.NDArray[np.object_]:
    """Return an array of the objects themselves: NumPy looks into them where it gets a list."""
    array = np.empty(len(values), dtype=np.object_)
    for row, value in enumerate(values):
        array[row] = value
    return array
