"""The texts in a column of an open table, read by their rows; those in order are read fast.

Of a CSV or JSON Lines file, the place of every 64th row is remembered once it was passed, and no
more than a row is in memory; the row that is asked for is found from the last such place before it.
"""

import sys
from array import array
from collections.abc import Iterator
from pathlib import Path
from threading import Lock
from typing import Any, Protocol

import pyarrow as pa

from pipeline.ground.errors import DataError
from pipeline.raw.archive.archive import RawFault
from pipeline.raw.shards.column_cells import ColumnCells, open_parquet
from pipeline.raw.texts.cell_paths import PARQUET, Column, row_of
from pipeline.raw.texts.delimited import Delimited
from pipeline.raw.texts.json_lines import JsonLines
from pipeline.raw.texts.lines import Place
from pipeline.raw.texts.missing_column import without_text

_STRIDE = 64
_NOWHERE = sys.maxsize


class TextCells:
    """The texts of a table.

    Args:
        path: Of the file; it may be called otherwise, as in a cache.
        name: What it is called.
        column: That of the texts, with the encoding of the file.

    Raises:
        DataError: It is cut or corrupt, has no such column, or one that holds no text.
        OSError: It cannot be opened.
    """

    def __init__(self, path: Path, name: str, column: Column) -> None:
        self._column = column.name
        self._cells = _open(path, name, column)
        self._lock = Lock()

    def read(self, path: str, max_bytes: int) -> bytes:
        """Return a text as UTF-8.

        What is no Unicode in it, a byte that is none of the encoding or half a surrogate pair, is
        no UTF-8 then.

        Args:
            path: `<column>/<row>`.
            max_bytes: A longer text is not returned.

        Raises:
            RawFault: There is no such row, it has no text or one that is too long; or its part of
                the file is damaged.
            DataError: The file is cut or corrupt, or breaks a rule of its format.
        """
        with self._lock:
            content = self._cells.content(row_of(path))
        if content is None:
            raise RawFault("missing_file", f"its cell in {self._column!r} is empty")
        if len(content) > max_bytes:
            raise RawFault("too_large", f"a cell of {len(content)} bytes")
        return content


class _Cells(Protocol):
    def content(self, row: int) -> bytes | None:
        """Return the bytes of a row's text; None for an empty cell."""


def open_rows(path: Path, name: str, column: str | None, encoding: str) -> Delimited | JsonLines:
    """Open a table that is lines of text.

    Args:
        path: A regular file.
        name: What it is called.
        column: That of the texts; None: not known yet.
        encoding: As Python calls it; see `encoding_of`.

    Raises:
        DataError: It is no such table, or a CSV or TSV file without the column.
        OSError: It cannot be opened.
    """
    plain = name.lower().removesuffix(".gz")
    if plain.endswith((".csv", ".tsv")):
        return Delimited(path, name, column, encoding)
    return JsonLines(path, name, column or "", encoding)


def _open(path: Path, name: str, column: Column) -> _Cells:
    if name.lower().endswith(PARQUET):
        return _ParquetTexts(path, column.name)
    try:
        return _LineTexts(open_rows(path, name, column.name, column.encoding))
    except LookupError as error:  # a path that nobody made
        raise DataError(path, f"has no such encoding: {column.encoding}") from error


class _LineTexts:
    """The texts of a table that is lines."""

    def __init__(self, table: Delimited | JsonLines) -> None:
        self._table = table
        self._bytes, self._numbers = array("q"), array("q")
        self._rows: Iterator[tuple[Place, Any]] = iter(())
        self._at = _NOWHERE
        self._text: str | None = None

    def content(self, row: int) -> bytes | None:
        """Return the bytes of a row's text; None for an empty one of JSON."""
        if row != self._at:
            self._go_to(row)
        if self._text is None:
            return None
        try:
            return self._text.encode("utf-8", "surrogateescape")
        except UnicodeEncodeError:
            return self._text.encode("utf-8", "surrogatepass")

    def _go_to(self, row: int) -> None:
        known = min(row // _STRIDE, len(self._bytes) - 1)
        at, self._at = self._at, _NOWHERE  # what fails below starts anew
        if row < at or known > at // _STRIDE:
            start = Place(self._bytes[known], self._numbers[known]) if known >= 0 else None
            self._rows, at = self._table.rows(start), max(0, known) * _STRIDE - 1
        cells: Any = None
        while at < row:
            found = next(self._rows, None)
            if found is None:
                raise RawFault("unreadable", "no such row")
            place, cells = found
            at += 1
            if at == len(self._bytes) * _STRIDE:
                self._bytes.append(place.byte)
                self._numbers.append(place.number)
        self._text = self._table.text_of(cells)
        self._at = at


class _ParquetTexts:
    """The texts of a Parquet file."""

    def __init__(self, path: Path, column: str) -> None:
        file = open_parquet(path)
        schema = file.schema_arrow
        if column not in schema.names:
            raise without_text(path, column, schema.names)
        if not is_text(schema.field(column).type):
            raise DataError(
                path,
                "must hold text",
                field=f"column {column!r}",
                got=str(schema.field(column).type),
            )
        self._rows = file.metadata.num_rows
        self._cells = ColumnCells(file, column)

    def content(self, row: int) -> bytes | None:
        """Return the bytes of a row's text; None for an empty one."""
        if row >= self._rows:
            raise RawFault("unreadable", "no such row")
        cell = self._cells.cell(row)
        if isinstance(cell, pa.DictionaryScalar):
            cell = cell.value
        return bytes(cell.as_buffer()) if cell.is_valid else None


def is_text(kind: pa.DataType) -> bool:
    """Return whether a column of Parquet can hold texts."""
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    types = pa.types
    return bool(
        types.is_string(kind)
        or types.is_large_string(kind)
        or types.is_string_view(kind)
        or types.is_binary(kind)
        or types.is_large_binary(kind)
    )
