"""Parquet tables with a column of items, as data hubs ship them; their cells are read in place.

An item column is a struct with the fields `bytes` and `path`, or plain binary whose first values
are items. Its members are called by the numbers of their rows, `00000000` first, so that the
order of paths is the order of the file: who reads items by their paths reads each part once.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.ground.errors import DataError
from pipeline.modality.files import all_files
from pipeline.raw.archive.archive import RawFault
from pipeline.raw.archive.io import Member
from pipeline.raw.item_names import item_noun, item_nouns, item_words
from pipeline.raw.shards.column_cells import (
    ERRORS,
    ColumnCells,
    batches,
    open_parquet,
    refuse_damaged,
)
from pipeline.raw.sniff import HEAD_BYTES, item_format, unread_format

LABEL_TABLE = "labels.parquet"
"""Without an item column, a label file; whoever reads that says what is wrong with it."""

_DIGITS = 8
_LOOKED_AT = 16
"""Cells at the beginning of a column that are looked at to tell what it holds."""


@dataclass(frozen=True)
class ItemColumn:
    """A column that may hold items."""

    name: str
    leaf: str
    """The path of what holds their bytes in the file's schema."""
    kind: str
    """`items`, `nothing` (only empty cells at its beginning) or `other bytes`."""

    @property
    def has_paths(self) -> bool:
        """Return whether its cells have a path beside their bytes."""
        return self.leaf != self.name


def holds_items(path: Path) -> bool:
    """Return whether a table has an item column, even one whose cells are all empty.

    Raises:
        DataError: The file is cut or corrupt, unless it is called as a label file.
        OSError: It cannot be opened.
    """
    try:
        file = open_parquet(path)
    except DataError:
        if path.name.lower() == LABEL_TABLE:
            return False
        raise
    return any(_is_meant(each) for each in _item_columns(path, file))


class ItemTable:
    """An open table with an item column.

    Args:
        path: A regular file.

    Raises:
        DataError: It is cut or corrupt, has no item column, or none that is meant; or its cells
            hold paths alone.
        OSError: It cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = open_parquet(path)
        self.column, self.others = _choose(path, _item_columns(path, self._file))
        self.rows = self._file.metadata.num_rows
        self._cells = ColumnCells(self._file, self.column.leaf)
        self._lock = Lock()

    def members(self) -> Iterator[Member]:
        """List the rows; whether a cell is empty shows when it is read."""
        return (Member(member_name(row), row, 0, 0) for row in range(self.rows))

    def read(self, path: str, max_bytes: int) -> bytes:
        """Return the bytes of a cell.

        Args:
            path: As `members` gives it.
            max_bytes: A larger cell is not copied.

        Raises:
            RawFault: There is no such row, its cell is empty or too large, or its part of the file
                is damaged.
        """
        row = int(path) if path.isascii() and path.isdigit() else self.rows
        if row >= self.rows or path != member_name(row):
            raise RawFault("unreadable", "no such row")
        with self._lock:
            cell = self._cells.cell(row)
            if not cell.is_valid:
                raise RawFault("missing_file", f"its cell in {self.column.name!r} is empty")
            content = cell.as_buffer()
            if content.size > max_bytes:
                raise RawFault("too_large", f"a cell of {content.size} bytes")
            return bytes(content)

    @cached_property
    def schema(self) -> pa.Schema:
        """Its columns, as Arrow sees them."""
        return self._file.schema_arrow

    @cached_property
    def class_names(self) -> dict[str, tuple[str, ...]]:
        """The names of numbered classes, by column, where the file's metadata has them."""
        return _class_names(self.schema.metadata or {})

    def read_columns(self, names: Sequence[str]) -> pa.Table:
        """Read columns whole, by the paths of their leaves.

        Raises:
            DataError: They are damaged.
        """
        try:
            return self._file.read(columns=list(names), use_threads=False)
        except ERRORS as error:
            refuse_damaged(self.path, error)


def member_name(row: int) -> str:
    """Name a row; the order of names is that of rows."""
    return f"{row:0{_DIGITS}}"


def _item_columns(path: Path, file: pq.ParquetFile) -> list[ItemColumn]:
    """Find the columns that hold bytes, and look at their first cells."""
    leaves = []
    for field in file.schema_arrow:
        if _is_binary(field.type):
            leaves.append((field.name, field.name))
        elif pa.types.is_struct(field.type):
            inner = [each.name for each in field.type if _is_binary(each.type)]
            leaves += [(field.name, f"{field.name}.bytes") for name in inner if name == "bytes"]
    try:
        return [ItemColumn(name, leaf, _kind(file, leaf)) for name, leaf in leaves]
    except ERRORS as error:
        refuse_damaged(path, error)


def _is_binary(kind: pa.DataType) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _kind(file: pq.ParquetFile, leaf: str) -> str:
    heads: list[bytes] = []
    for group in range(min(file.num_row_groups, _LOOKED_AT)):
        for cells in batches(file, leaf, group):
            heads += [
                bytes(cell.as_buffer()[:HEAD_BYTES]) for cell in cells[:_LOOKED_AT] if cell.is_valid
            ]
            break
        if heads:
            is_item = any(item_format(each) or unread_format(each) for each in heads)
            return "items" if is_item else "other bytes"
    return "nothing"


def _is_meant(column: ItemColumn) -> bool:
    return column.kind == "items" or (column.kind == "nothing" and column.has_paths)


def _choose(path: Path, columns: Sequence[ItemColumn]) -> tuple[ItemColumn, tuple[ItemColumn, ...]]:
    """Choose the item column that counts; return it and the others.

    Raises:
        DataError: There is none, or nobody can say which.
    """
    full = [each for each in columns if each.kind == "items"]
    if not full:
        hollow = [each for each in columns if _is_meant(each)]
        if hollow:
            raise DataError(
                path,
                f"holds paths of {item_nouns()}, and not their bytes",
                field=f"column {hollow[0].name!r}",
                remedy="write it with the bytes in it, as `push_to_hub` of the library `datasets` "
                "does, or put the files here with a labels.csv",
            )
        raise DataError(path, f"has no column of encoded {item_nouns()}")
    usual = _usual_names()
    named = [name for each in usual for name in full if name.name.lower() == each]
    chosen = [*named, *full][0]
    if len(full) > 1 and not named:
        raise DataError(
            path,
            f"must have one {item_noun()} column",
            got=[each.name for each in full],
            remedy=f"call the one that counts {usual[0]!r}",
        )
    return chosen, tuple(each for each in full if each != chosen)


def _usual_names() -> tuple[str, ...]:
    """Return the names of the one item column that counts, where there are several."""
    suffixes = (suffix for each in all_files() for suffix in each.SUFFIXES)
    return (*item_words(), *(suffix.removeprefix(".") for suffix in suffixes))


def _class_names(metadata: dict[bytes, bytes]) -> dict[str, tuple[str, ...]]:
    """Read the names of classes that the library `datasets` leaves in a table's metadata."""
    try:
        found = json.loads(metadata.get(b"huggingface", b"{}"))
        features = found.get("info", {}).get("features", {})
        return {
            name: tuple(map(str, _listed(feature["names"])))
            for name, feature in features.items()
            if isinstance(feature, dict)
            and feature.get("_type") == "ClassLabel"
            and _listed(feature.get("names"))
        }
    except (ValueError, AttributeError, TypeError, RecursionError):
        return {}  # the numbers stand for themselves then


def _listed(names: Any) -> Sequence[Any]:
    """Return names in the order of their numbers: a list, or a mapping from numbers."""
    if isinstance(names, dict):
        return [name for _, name in sorted((int(number), name) for number, name in names.items())]
    return names if isinstance(names, list) else []
