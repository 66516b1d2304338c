"""A table of text that people made, read strictly: every cell is a string, every fault has a line.

No value is guessed: `NA`, `001` and `no` stay what they are. A CSV file is UTF-8 (with or without a
byte order mark) with commas and one header line. With `any_form`, what spreadsheets and other tools
write is read too: semicolons, tabs or bars, a first line `sep=;`, UTF-16 with its mark, blanks
around cells, comments, header lines that are repeated, JSON Lines. Columns of parquet and JSON are
turned into text.
"""

import json
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.ground.errors import DataError
from pipeline.raw.item_names import mentions_item
from pipeline.raw.labels.csv_table import CsvTable, read_any, read_plain
from pipeline.raw.labels.text_bytes import TextFile, text_file
from pipeline.raw.texts.json_lines import as_cell, whole
from pipeline.store.kept import ROWS_AT_ONCE, TEXTS, Kept, cells
from pipeline.store.spill import MEMORY, Place

_MOST_BYTES = 1 << 36
MOST_ROWS = 100_000_000
"""What paths of eight digits can tell apart."""


@dataclass(frozen=True)
class TextTable:
    """The cells of a file by row, and the line at which each row begins."""

    path: Path
    columns: tuple[str, ...]
    rows: Kept[tuple[str, ...]]
    lines: Sequence[int]
    notes: tuple[str, ...] = ()
    """What was left out while reading, counted."""
    nested: Mapping[str, str] = field(default_factory=dict)
    """Columns that hold neither text nor numbers, and what they hold; not in `columns`."""

    def where(self, row: int) -> str:
        """Name a row for an error message, as editors do: `file:line`."""
        return f"{self.path}:{self.lines[row]}"

    def column(self, name: str) -> Kept[str]:
        """Return the cells of a column.

        Raises:
            DataError: There is no such column, or it holds neither text nor numbers.
        """
        if name in self.nested:
            raise DataError(
                self.path,
                "must hold text or numbers",
                field=f"column {name!r}",
                got=self.nested[name],
            )
        if name not in self.columns:
            raise DataError(self.path, f"the column {name!r} is missing", remedy=self._hint(name))
        return self.rows.texts(self.columns.index(name))

    @property
    def is_headless(self) -> bool:
        """Whether the first line names an item, as a row does and no header."""
        return any(map(mentions_item, self.columns))

    def shown_columns(self) -> str:
        """Name the columns for an error message."""
        more = ", ..." if len(self.columns) > 10 else ""
        return "the file has " + ", ".join(repr(each) for each in self.columns[:10]) + more

    def _hint(self, name: str) -> str:
        close = get_close_matches(name.lower(), [each.strip().lower() for each in self.columns], 1)
        meant = [each for each in self.columns if [each.strip().lower()] == close]
        return f"did you mean {meant[0]!r}?" if meant else self.shown_columns()


def read_text_table(
    path: Path, *, may_be_empty: bool = False, any_form: bool = False, place: Place = MEMORY
) -> TextTable:
    """Read a file whole; at no time is more than some rows of it in memory as objects.

    Args:
        path: A .csv or .parquet file; with `any_form` also .tsv, .txt, .jsonl or .ndjson.
        may_be_empty: Whether a header without rows is enough.
        any_form: Whether to read other forms of CSV too; rows must not be added to such a file.
        place: Where its rows wait.

    Raises:
        DataError: The file is missing, of another kind, or breaks a rule of this module.
    """
    readers = _ANY_FORM if any_form else _PLAIN
    reader = readers.get(path.suffix.lower())
    if reader is None:
        *names, last = readers
        remedy = _OTHER_KINDS.get(path.suffix.lower())
        raise DataError(path, f"must be a {', '.join(names)} or {last} file", remedy=remedy)
    if not path.is_file():  # which a pipe is not: to read one might wait for ever
        rule = "must be a regular file" if path.exists() else "no such file"
        raise DataError(path, rule)
    if (size := path.stat().st_size) > _MOST_BYTES:
        raise DataError(
            path, f"must have at most {_MOST_BYTES} bytes", got=size, remedy="is it the label file?"
        )
    table = reader(path, place)
    for name in table.columns:
        if table.columns.count(name) > 1:
            raise DataError(path, f"the column {name!r} is there twice", remedy="rename one")
    if not (table.lines or may_be_empty):
        raise DataError(path, "has a header and no rows")
    return table


def _read_plain(path: Path, place: Place) -> TextTable:
    return _of_csv(path, read_plain(path, place, MOST_ROWS))


def _read_any(path: Path, place: Place) -> TextTable:
    return _of_csv(path, read_any(path, place, MOST_ROWS))


def _of_csv(path: Path, found: CsvTable) -> TextTable:
    return TextTable(path, tuple(found.columns), found.rows, found.lines, found.notes)


def _read_json_lines(path: Path, place: Place) -> TextTable:
    """Read the objects twice: first for the columns that there are, then for their cells."""
    file, lines = text_file(path), array("q")
    names: dict[str, None] = {}
    nested: dict[str, str] = {}
    for number, record in _records(file):
        lines.append(number)
        for name, value in record.items():
            names.setdefault(name)
            if isinstance(value, list | dict):
                nested[name] = type(value).__name__
    columns = tuple(name for name in names if name not in nested)
    texts = (
        tuple(whole(as_cell(record.get(name))) for name in columns) for _, record in _records(file)
    )
    rows = Kept.keep(texts, cells(len(columns)), place)
    return TextTable(path, tuple(map(str.strip, columns)), rows, lines, nested=nested)


def _records(file: TextFile) -> Iterator[tuple[int, dict[str, Any]]]:
    path, rule = file.path, "must be a JSON object on each line"
    with file.open(newline="\n") as stream:
        for number, line in enumerate(stream, start=1):
            if not line.strip():
                continue
            try:
                record = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise DataError(f"{path}:{number}", rule) from error
            if not isinstance(record, dict):
                raise DataError(f"{path}:{number}", rule, got=type(record).__name__)
            yield number, record


def _read_parquet(path: Path, place: Place) -> TextTable:
    try:
        file = pq.ParquetFile(path)
        names = file.schema_arrow.names
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise DataError(path, f"the column {twice!r} is there twice", remedy="rename one")
        return read_columns(path, file, names, place)
    except (pa.ArrowException, OSError, ValueError, MemoryError) as error:
        raise DataError(path, "not a readable parquet file") from error


def read_columns(path: Path, file: pq.ParquetFile, names: Sequence[str], place: Place) -> TextTable:
    """Read columns of an open parquet file as texts.

    Raises:
        DataError: There are too many rows.
        Exception: What pyarrow raises where the file is damaged.
    """
    count = file.metadata.num_rows
    if count > MOST_ROWS:
        raise DataError(path, f"must have at most {MOST_ROWS} rows", got=count)
    texts: dict[str, Kept[str]] = {}
    nested: dict[str, str] = {}
    for name in names:
        kind = file.schema_arrow.field(name).type
        try:
            if pa.types.is_nested(kind):  # its leaves have other names
                raise DataError(path, "must hold text or numbers")
            texts[name] = Kept.keep(_cells(path, file, name), TEXTS, place)
        except DataError:  # raised again where the column is asked for
            nested[name] = str(kind)
    rows = Kept.beside([*texts.values()], place)
    return TextTable(path, tuple(texts), rows, range(1, count + 1), nested=nested)


def _cells(path: Path, file: pq.ParquetFile, name: str) -> Iterator[str]:
    for batch in file.iter_batches(ROWS_AT_ONCE, columns=[name], use_threads=False):
        yield from as_text(path, name, pa.chunked_array([batch.column(0)]))


def as_text(path: Path, name: str, column: pa.ChunkedArray) -> list[str]:
    """Return the values of a parquet column as text without blanks around; "" where there is none.

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
    return [(text or "").strip() for text in texts]


_Read = Callable[[Path, Place], TextTable]
_PLAIN: dict[str, _Read] = {".csv": _read_plain, ".parquet": _read_parquet}
_ANY_FORM: dict[str, _Read] = {
    ".csv": _read_any,
    ".tsv": _read_any,
    ".txt": _read_any,
    ".jsonl": _read_json_lines,
    ".ndjson": _read_json_lines,
    ".parquet": _read_parquet,
}
_OTHER_KINDS = {
    ".xlsx": "save the sheet as CSV",
    ".xls": "save the sheet as CSV",
    ".ods": "save the sheet as CSV",
    ".json": "write it as CSV, or as JSON Lines: an object for each item",
    ".gz": "unpack it",
    ".zip": "unpack it",
}
TABLE_SUFFIXES = tuple(_ANY_FORM)
"""Of files that `any_form` reads."""

UNREAD_SUFFIXES = tuple(suffix for suffix in _OTHER_KINDS if suffix not in (".gz", ".zip"))
"""Of files that may hold labels, and that are not read."""
