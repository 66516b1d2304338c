"""The tensor store: every kept picture as uint8, in shards. `store_writer` writes it.

A store is a folder: `shard-00000.npy`, ... of [rows, 3, H, W], `index.parquet` with one row for
each picture, in the order of the manifest, and `store.json`, written last. A folder without
`store.json` is no store.

Axes: B = pictures of one read, H = W = `size_px`.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.ground.errors import IntegrityError
from pipeline.ground.files import read_json, sha256_file
from pipeline.ground.tables import read_table
from pipeline.picture.read.spec import DecodeSpec, Pixels
from pipeline.store.shards import Layout, Rows, Shards

VERSION = 2
FORMAT = "rootstock-store"
COLUMNS = ("path", "id", "label", "split", "group", "weight")
"""Of the index, taken from the manifest; after them its `meta.<name>` columns and `DIGEST`."""

DIGEST = "digest"
"""Of the index: SHA-256 of the picture's bytes in the store, in hex."""

_REMEDY = "run `dvc checkout` or `dvc repro transform`"


def layout(size_px: int) -> Layout:
    """Describe the shards of a store."""
    return Layout("shard", (3, size_px, size_px), np.dtype(np.uint8), _REMEDY)


@dataclass(frozen=True)
class Store:
    """A store that was opened: the index in memory, the pixels on disk.

    Attributes:
        folder: Where it lies.
        spec: How its pictures were made.
        index: One row for each picture: `COLUMNS`, `meta.<name>` and `DIGEST`; its index is the row
            number.
        pixels: uint8 [N, 3, H, W].
    """

    folder: Path
    spec: DecodeSpec
    index: pd.DataFrame
    pixels: Shards

    @classmethod
    def open(cls, folder: Path) -> "Store":
        """Open a store; sizes and shapes are checked here, sums only by `verify`.

        Raises:
            DataError: There is no store.
            IntegrityError: A file of it is missing, cut off or of another version.
        """
        where = folder / "store.json"
        record = _read_record(where)
        try:
            spec = DecodeSpec.from_dict(record["spec"])
            rows = int(record["rows"])
            pixels = Shards.open(folder, layout(spec.size_px), record["shards"])
        except (KeyError, TypeError, ValueError) as error:
            raise IntegrityError(where, f"lacks or garbles {error}", remedy=_REMEDY) from error
        index = _read_index(folder / "index.parquet", rows)
        if len(pixels) != rows:
            raise IntegrityError(where, f"its shards must hold {rows} rows", remedy=_REMEDY)
        return cls(folder, spec, index, pixels)

    def __len__(self) -> int:
        return len(self.index)

    @property
    def size_px(self) -> int:
        """Side of the square pictures, pixels."""
        return self.spec.size_px

    def rows(self, split: str) -> npt.NDArray[np.int64]:
        """Return the row numbers of a split, ascending; none for a split that has no pictures."""
        return np.flatnonzero(self.index["split"].to_numpy() == split).astype(np.int64)

    def read(self, rows: Rows) -> Pixels:
        """Copy pictures into memory, in the order asked for.

        Returns:
            uint8, [B, 3, H, W].

        Raises:
            IndexError: A row number is negative or too large.
        """
        return self.pixels.read(rows)

    def read_checked(self, rows: Rows) -> Pixels:
        """Copy pictures as `read` does, and compare each with its `DIGEST` in the index.

        Raises:
            IndexError: A row number is negative or too large.
            IntegrityError: A picture differs.
        """
        pixels, digests = self.read(rows), self.index[DIGEST].to_numpy()[rows]
        for row, each, digest in zip(rows, pixels, digests, strict=True):
            if hashlib.sha256(each.data).hexdigest() != digest:
                path = self.pixels.stored(int(row)).path
                raise IntegrityError(path, "its values were changed", remedy=_REMEDY)
        return pixels

    def verify_index(self) -> None:
        """Compare the index with its sum in `store.json`.

        Raises:
            IntegrityError: It differs.
        """
        _check_file(self.folder, _read_record(self.folder / "store.json")["index"])

    def verify(self) -> None:
        """Compare the sums of all files with those in `store.json`.

        Raises:
            IntegrityError: A file differs.
        """
        self.verify_index()
        self.pixels.verify()


def _check_file(folder: Path, record: Mapping[str, Any]) -> None:
    path = folder / record["file"]
    if sha256_file(path) != record["sha256"]:
        raise IntegrityError(path, "its values were changed", remedy=_REMEDY)


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


def _read_index(path: Path, rows: int) -> pd.DataFrame:
    if not path.is_file():
        raise IntegrityError(path, "is missing from the store", remedy=_REMEDY)
    index = read_table(path)
    missing = [name for name in (*COLUMNS, DIGEST) if name not in index.columns]
    if missing:
        raise IntegrityError(path, "lacks a column", field=missing[0], remedy=_REMEDY)
    if len(index) != rows:
        raise IntegrityError(path, f"must have {rows} rows", got=len(index), remedy=_REMEDY)
    return index
