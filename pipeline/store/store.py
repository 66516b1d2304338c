"""The store: every kept item as a row of one shape, in shards. `pipeline.store.writer` writes it.

A store is a folder: `shard-00000.npy`, ... of [rows, *shape], `index.parquet` with a line for each
row, in the order of the manifest, and `store.json`, written last. A folder without `store.json` is
no store.

Axes: N = rows, B = rows of one read.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.ground.errors import IntegrityError
from pipeline.ground.files import read_json, sha256_file
from pipeline.ground.tables import read_table
from pipeline.modality.shelving import shelf
from pipeline.modality.table import read_modality
from pipeline.store.shards import Array, Layout, Rows, Shards

VERSION = 2
FORMAT = "rootstock-store"
COLUMNS = ("path", "id", "label", "split", "group", "weight")
"""Of the index, taken from the manifest; after them its `meta.<name>` columns and `DIGEST`."""

DIGEST = "digest"
"""Of the index: SHA-256 of the row's bytes in the store, in hex."""

_REMEDY = "run `dvc checkout` or `dvc repro transform`"


def layout(modality: str, spec: Any) -> Layout:
    """Return the layout of a store's shards.

    Args:
        modality: Of the items.
        spec: How they become rows: of the type of the modality's Shelf.
    """
    return Layout("shard", *shelf(modality).row(spec), _REMEDY)


@dataclass(frozen=True)
class Store:
    """A store that was opened: the index in memory, the values on disk.

    Attributes:
        folder: Where it is.
        modality: Of its items.
        spec: How they became rows: of the type of the modality's Shelf.
        index: A line for each row: `COLUMNS`, `meta.<name>` and `DIGEST`; its index is the row
            number.
        values: [N, *shape].
    """

    folder: Path
    modality: str
    spec: Any
    index: pd.DataFrame
    values: Shards

    @classmethod
    def open(cls, folder: Path) -> "Store":
        """Open a store; the index is compared with its sum, a shard when it is first read.

        Raises:
            DataError: There is no store.
            IntegrityError: Its record or index is missing, changed or of another version.
        """
        where = folder / "store.json"
        record = _read_record(where)
        try:
            modality = read_modality(record)
            spec = shelf(modality).spec(record["spec"])
            rows = int(record["rows"])
            values = Shards.open(folder, layout(modality, spec), record["shards"])
            sha256 = str(record["index"]["sha256"])
        except (KeyError, TypeError, ValueError) as error:
            raise IntegrityError(where, f"lacks or garbles {error}", remedy=_REMEDY) from error
        index = _read_index(folder / "index.parquet", sha256)
        if not len(values) == len(index) == rows:
            raise IntegrityError(where, f"its shards must hold {rows} rows", remedy=_REMEDY)
        return cls(folder, modality, spec, index, values)

    def __len__(self) -> int:
        return len(self.index)

    def rows(self, split: str) -> npt.NDArray[np.int64]:
        """Return the row numbers of a split, ascending; none for an empty split."""
        return np.flatnonzero(self.index["split"].to_numpy() == split).astype(np.int64)

    def read(self, rows: Rows) -> Array:
        """Copy rows into memory, in the order asked for.

        Returns:
            [B, *shape].

        Raises:
            IndexError: A row number is negative or too large.
            IntegrityError: A shard is missing, or is not as it was written.
        """
        return self.values.read(rows)


def _read_record(where: Path) -> dict[str, Any]:
    record = read_json(where)
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        raise IntegrityError(where, "is not the record of a store", remedy=_REMEDY)
    if record.get("version") != VERSION:
        raise IntegrityError(
            where,
            f"must be {VERSION}",
            field="version",
            got=record.get("version"),
            remedy="run `dvc repro transform`",
        )
    return record


def _read_index(path: Path, sha256: str) -> pd.DataFrame:
    if not path.is_file():
        raise IntegrityError(path, "is missing from the store", remedy=_REMEDY)
    if sha256_file(path) != sha256:
        raise IntegrityError(path, "its values were changed", remedy=_REMEDY)
    return read_table(path)
