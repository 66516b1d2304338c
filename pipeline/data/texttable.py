"""A table of text that people made, read strictly: every cell is a string, every fault has a line.

Nothing is guessed: `NA`, `001` and `no` stay what they are. CSV is UTF-8 (with or without a byte
order mark) with commas and one header line; parquet columns are turned into text.
"""

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.errors import DataError

_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")
_OTHER_SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "bars"}
_MOST_BYTES = 1 << 30
"""A file of some ten million rows, which take ten times as much in memory."""

_MOST_ROWS = 20_000_000
_FILE_NAME = re.compile(r"\.(?:png|jpe?g|tiff?|bmp|webp|gif)$", re.IGNORECASE)


@dataclass(frozen=True)
class TextTable:
    """The cells of a file by row, and the line at which each row begins."""

    path: Path
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    lines: tuple[int, ...]

    def where(self, row: int) -> str:
        """Name a row for an error message, as editors do: `file:line`."""
        return f"{self.path}:{self.lines[row]}"

    def column(self, name: str) -> tuple[str, ...]:
        """Give the cells of a column.

        Raises:
            DataError: There is no such column.
        """
        if name not in self.columns:
            raise DataError(self.path, f"the column {name!r} is missing", remedy=self._hint(name))
        place = self.columns.index(name)
        return tuple(row[place] for row in self.rows)

    def _hint(self, name: str) -> str:
        close = get_close_matches(name.lower(), [each.strip().lower() for each in self.columns], 1)
        if any(_FILE_NAME.search(each) for each in self.columns):
            return "the first line must be a header, and looks like an item"
        known = ", ".join(repr(each) for each in self.columns[:10])
        meant = [each for each in self.columns if [each.strip().lower()] == close]
        return f"did you mean {meant[0]!r}?" if meant else f"the file has {known}"


def read_text_table(path: Path, *, may_be_empty: bool = False) -> TextTable:
    """Read a .csv or .parquet file whole; `may_be_empty` allows a header without rows.

    Raises:
        DataError: The file is missing, of another kind, or breaks a rule of this module.
    """
    readers = {".csv": _read_csv, ".parquet": _read_parquet}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise DataError(path, "must be a .csv or .parquet file")
    if not path.is_file():  # which a pipe is not: to read one might wait for ever
        rule = "must be a regular file" if path.exists() else "no such file"
        raise DataError(path, rule)
    if (size := path.stat().st_size) > _MOST_BYTES:
        raise DataError(path, f"must have at most {_MOST_BYTES} bytes", got=size,
                        remedy="is it the label file?")  # fmt: skip
    table = reader(path)
    for name in table.columns:
        if table.columns.count(name) > 1:
            raise DataError(path, f"the column {name!r} stands twice", remedy="rename one")
    if not (table.rows or may_be_empty):
        raise DataError(path, "has a header and no rows")
    return table


def _read_csv(path: Path) -> TextTable:
    text = _decode(path, path.read_bytes())
    numbered = list(_split(path, text))
    columns = tuple(numbered[0][1])
    used = [name for sep, name in _OTHER_SEPARATORS.items() if sep in columns[0]]
    if len(columns) == 1 and used:
        raise DataError(
            path,
            f"must be separated by commas, and looks separated by {used[0]}",
            remedy="save it as CSV with commas",
        )
    for line, cells in numbered:
        if len(cells) != len(columns):
            raise DataError(
                f"{path}:{line}",
                f"must have {len(columns)} cells, as the header has",
                got=len(cells),
                remedy="a cell that holds a comma needs quotes",
            )
    lines = tuple(line for line, _ in numbered[1:])
    return TextTable(path, columns, tuple(tuple(cells) for _, cells in numbered[1:]), lines)


def _decode(path: Path, raw: bytes) -> str:
    zeros = raw.count(0)
    if raw.startswith(_UTF16_MARKS) or zeros > len(raw) / 4:
        raise DataError(path, "must be UTF-8, and looks like UTF-16", remedy="save it as UTF-8")
    if zeros:
        place = raw.index(0)
        raise DataError(
            f"{path}:{_line(raw, place)}",
            f"must not hold NUL bytes; the first of {zeros} is byte {place}",
            remedy="restore the file; it may have been cut off by a crash",
        )
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path}:{_line(raw, error.start)}",
            f"must be UTF-8; byte {error.start} is 0x{raw[error.start]:02x}, as in Latin-1",
            remedy="save it as UTF-8",
        ) from error
    if not text.strip():
        raise DataError(path, "is empty")
    return text


def _line(raw: bytes, place: int) -> int:
    return raw.count(b"\n", 0, place) + 1


def _split(path: Path, text: str) -> Iterator[tuple[int, list[str]]]:
    """Give the rows that are not blank, each with the line at which it begins."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    start = 1
    try:
        for cells in reader:
            if cells:
                yield start, cells
            start = reader.line_num + 1
    except csv.Error as error:
        fault = "a quote is opened and never closed" if "end of data" in str(error) else str(error)
        raise DataError(f"{path}:{start}", f"not valid CSV: {fault}") from error


def _read_parquet(path: Path) -> TextTable:
    try:
        file = pq.ParquetFile(path)
        if file.metadata.num_rows > _MOST_ROWS:
            raise DataError(path, f"must have at most {_MOST_ROWS} rows",
                            got=file.metadata.num_rows)  # fmt: skip
        table = file.read()
    except (pa.ArrowException, OSError, ValueError, MemoryError) as error:
        raise DataError(path, "not a readable parquet file") from error
    cells = [
        as_text(path, name, column)
        for name, column in zip(table.column_names, table.columns, strict=True)
    ]
    rows = tuple(zip(*cells, strict=True))
    return TextTable(path, tuple(table.column_names), rows, tuple(range(1, len(rows) + 1)))


def as_text(path: Path, name: str, column: pa.ChunkedArray) -> list[str]:
    """Return the values of a parquet column as text; "" where there is none.

    Raises:
        DataError: They are neither text nor numbers.
    """
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    try:
        texts = column.cast(kind).cast(pa.string()).to_pylist()
    except (pa.ArrowException, ValueError) as error:
        raise DataError(
            path, "must hold text or numbers", field=f"column {name!r}", got=str(column.type)
        ) from error
    if pa.types.is_floating(kind):  # pandas writes a missing number as nothing, NumPy as NaN
        texts = [None if text in ("nan", "-nan") else text for text in texts]
    return [text or "" for text in texts]
