"""Parquet tables with a column of items, as data hubs ship them; their cells are read in place.

An item column is a struct with the fields `bytes` and `path`, or plain binary whose first values
are items. Its members are called by the numbers of their rows, `00000000` first, so that the
order of paths is the order of the file: who reads items by their paths reads each part once.

However large a row group is, no more is in memory at once than some cells and one page, which
holds as many cells as its writer liked: a thousand in most libraries.
"""

import json
from bisect import bisect_right
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
from pipeline.raw.archive.io import Member, Source
from pipeline.raw.item_names import item_noun, item_nouns, item_words
from pipeline.raw.sniff import HEAD_BYTES, item_format, unread_format

LABEL_TABLE = "labels.parquet"
"""Without an item column, a label file; whoever reads that says what is wrong with it."""

_DIGITS = 8
_MOST_ROWS = 20_000_000
_BATCH_BYTES, _MOST_CELLS = 1 << 20, 256
"""Of the cells that are read at once, as far as their mean size tells."""

_BUFFER_BYTES = 1 << 18
_LOOKED_AT = 16
"""Cells at the beginning of a column that are looked at to tell what it holds."""

_ERRORS = (pa.ArrowException, OSError, ValueError)
_REMEDY = "write the table again, or restore it"


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
        file = _open(path)
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
        self._file = _open(path)
        self.column, self.others = _choose(path, _item_columns(path, self._file))
        self.rows = self._file.metadata.num_rows
        self._starts = _starts(self._file)
        self._broken: dict[int, tuple[int, str]] = {}
        self._lock = Lock()
        self._group, self._first = -1, 0
        self._batches: Iterator[pa.RecordBatch] = iter(())
        self._cells: pa.Array = pa.array([], pa.binary())

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
            cell = self._cell(row)
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
        except _ERRORS as error:
            raise _damaged(self.path, error) from error

    def _cell(self, row: int) -> pa.Scalar:
        group = bisect_right(self._starts, row) - 1
        first, fault = self._broken.get(group, (self.rows, ""))
        if row >= first:
            raise RawFault("damaged", fault)
        if group != self._group or row < self._first:
            self._group, self._first = group, self._starts[group]
            self._cells = self._cells[:0]
            self._batches = _batches(self._file, self.column.leaf, group)
        while row >= self._first + len(self._cells):
            self._first += len(self._cells)
            self._cells = self._next_cells(group)
        return self._cells[row - self._first]

    def _next_cells(self, group: int) -> pa.Array:
        """Read on; what cannot be read stays so for the rest of the row group."""
        try:
            return next(self._batches)
        except StopIteration:
            fault = "its row group ends before"
        except _ERRORS as error:
            if isinstance(error, MemoryError) or getattr(error, "errno", None):
                self._group = -1
                raise  # it says nothing of the table
            fault = f"its row group cannot be read: {_first_line(error)}"
        self._group, self._broken[group] = -1, (self._first, fault)
        raise RawFault("damaged", fault)


def member_name(row: int) -> str:
    """Name a row; the order of names is that of rows."""
    return f"{row:0{_DIGITS}}"


def _open(path: Path) -> pq.ParquetFile:
    source = Source(path)  # which waits for no pipe
    try:
        file = pq.ParquetFile(path, pre_buffer=False, buffer_size=_BUFFER_BYTES)
        rows = file.metadata.num_rows
        file.schema_arrow  # noqa: B018 (read here, where its fault is caught)
    except _ERRORS as error:
        if isinstance(error, MemoryError):
            raise
        source.refuse_whole(_first_line(error))
    if rows > _MOST_ROWS:
        raise DataError(
            path, f"must have at most {_MOST_ROWS} rows", got=rows, remedy="write several tables"
        )
    return file


def _starts(file: pq.ParquetFile) -> list[int]:
    starts, rows = [], 0
    for group in range(file.num_row_groups):
        starts.append(rows)
        rows += file.metadata.row_group(group).num_rows
    return starts


def _batches(file: pq.ParquetFile, leaf: str, group: int) -> Iterator[pa.Array]:
    """Read a column's cells of one row group, some at a time."""
    part = file.metadata.row_group(group)
    chunks = (part.column(number) for number in range(part.num_columns))
    stored = next(each.total_uncompressed_size for each in chunks if each.path_in_schema == leaf)
    mean = max(1, stored // max(1, part.num_rows))
    size = min(_MOST_CELLS, max(1, _BATCH_BYTES // mean))
    for batch in file.iter_batches(size, row_groups=[group], columns=[leaf], use_threads=False):
        cells = batch.column(0)
        yield cells.flatten()[0] if pa.types.is_struct(cells.type) else cells


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
    except _ERRORS as error:
        raise _damaged(path, error) from error


def _is_binary(kind: pa.DataType) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _kind(file: pq.ParquetFile, leaf: str) -> str:
    heads: list[bytes] = []
    for group in range(min(file.num_row_groups, _LOOKED_AT)):
        for cells in _batches(file, leaf, group):
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


def _damaged(path: Path, error: BaseException) -> DataError:
    if isinstance(error, MemoryError):
        raise error
    return DataError(path, f"is cut or corrupt: {_first_line(error)}", remedy=_REMEDY)


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(". ")
