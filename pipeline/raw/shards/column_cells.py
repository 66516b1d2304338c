"""One column of a Parquet file, read cell by cell.

However large a row group is, no more is in memory at once than some cells and one page, which
holds as many cells as its writer liked: a thousand in most libraries.
"""

from bisect import bisect_right
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.ground.errors import DataError
from pipeline.raw.archive.archive import RawFault
from pipeline.raw.archive.io import FileSource

MOST_ROWS = 20_000_000
_BATCH_BYTES, _MOST_CELLS = 1 << 20, 256
"""Of the cells that are read at once, as far as their mean size tells."""

_BUFFER_BYTES = 1 << 18
ERRORS = (pa.ArrowException, OSError, ValueError)
"""What pyarrow raises of a file that it cannot read."""


class ColumnCells:
    """The cells of a column; those in order are read fast.

    Args:
        file: It is open.
        leaf: The path of what holds the bytes of a cell in the file's schema.
    """

    def __init__(self, file: pq.ParquetFile, leaf: str) -> None:
        self._file = file
        self._leaf = leaf
        self._rows = file.metadata.num_rows
        self._starts = _starts(file)
        self._broken: dict[int, tuple[int, str]] = {}
        self._group, self._first = -1, 0
        self._batches: Iterator[pa.Array] = iter(())
        self._cells: pa.Array = pa.array([], pa.binary())

    def cell(self, row: int) -> pa.Scalar:
        """Return the cell of a row in [0, rows).

        Raises:
            RawFault: Its part of the file is damaged.
        """
        group = bisect_right(self._starts, row) - 1
        first, fault = self._broken.get(group, (self._rows, ""))
        if row >= first:
            raise RawFault("damaged", fault)
        if group != self._group or row < self._first:
            self._group, self._first = group, self._starts[group]
            self._cells = self._cells[:0]
            self._batches = batches(self._file, self._leaf, group)
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
        except ERRORS as error:
            if isinstance(error, MemoryError) or getattr(error, "errno", None):
                self._group = -1
                raise  # it says nothing of the table
            fault = f"its row group cannot be read: {first_line(error)}"
        self._group, self._broken[group] = -1, (self._first, fault)
        raise RawFault("damaged", fault)


def codec_of(file: pq.ParquetFile) -> str:
    """Return how the pages of a file are compressed, as a writer takes it."""
    if not file.metadata.num_row_groups:
        return "none"
    codec = str(file.metadata.row_group(0).column(0).compression)
    return "none" if codec == "UNCOMPRESSED" else codec


def open_parquet(path: Path) -> pq.ParquetFile:
    """Open a file, and read its footer.

    Raises:
        DataError: It is cut or corrupt, has too many rows, or is no regular file.
        OSError: It cannot be opened.
    """
    source = FileSource(path)  # which waits for no pipe
    try:
        file = pq.ParquetFile(path, pre_buffer=False, buffer_size=_BUFFER_BYTES)
        rows = file.metadata.num_rows
        file.schema_arrow  # noqa: B018 (read here, where its fault is caught)
    except ERRORS as error:
        if isinstance(error, MemoryError):
            raise
        source.refuse_whole(first_line(error))
    if rows > MOST_ROWS:
        raise DataError(
            path, f"must have at most {MOST_ROWS} rows", got=rows, remedy="write several tables"
        )
    return file


def batches(file: pq.ParquetFile, leaf: str, group: int) -> Iterator[pa.Array]:
    """Read a column's cells of one row group, some at a time."""
    part = file.metadata.row_group(group)
    chunks = (part.column(number) for number in range(part.num_columns))
    stored = next(each.total_uncompressed_size for each in chunks if each.path_in_schema == leaf)
    mean = max(1, stored // max(1, part.num_rows))
    size = min(_MOST_CELLS, max(1, _BATCH_BYTES // mean))
    for batch in file.iter_batches(size, row_groups=[group], columns=[leaf], use_threads=False):
        cells = batch.column(0)
        yield cells.flatten()[0] if pa.types.is_struct(cells.type) else cells


def refuse_damaged(path: Path, error: BaseException) -> NoReturn:
    """Raise that a file is cut or corrupt; a lack of memory says nothing of it.

    Raises:
        DataError: Of the file.
        MemoryError: As it is.
    """
    if isinstance(error, MemoryError):
        raise error
    raise DataError(
        path,
        f"is cut or corrupt: {first_line(error)}",
        remedy="write the table again, or restore it",
    ) from error


def first_line(error: BaseException) -> str:
    """Return what an error says first."""
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(". ")


def _starts(file: pq.ParquetFile) -> list[int]:
    starts, rows = [], 0
    for group in range(file.num_row_groups):
        starts.append(rows)
        rows += file.metadata.row_group(group).num_rows
    return starts
