"""A table of text that people made, read strictly: every cell is a string, every fault has a line.

No value is guessed: `NA`, `001` and `no` stay what they are. A CSV file is UTF-8 (with or without a
byte order mark) with commas and one header line. With `any_form`, what spreadsheets and other tools
write is read too: semicolons, tabs or bars, a first line `sep=;`, UTF-16 with its mark, blanks
around cells, comments, header lines that are repeated, JSON Lines. Columns of parquet and JSON are
turned into text.
"""

import csv
import io
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.ground.errors import DataError
from pipeline.raw.item_names import mentions_item

_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")
_SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
_SEPARATOR_LINE = re.compile(r'"?sep=(.)"?', re.IGNORECASE)
"""What Excel writes, and reads, before the header."""

_COMMENT = re.compile(r"#+(?:\s|$)")
"""A row of one such cell; a file may be called `#1.png`."""

_SNIFFED_ROWS = 20
_MOST_BYTES = 1 << 30
"""A file of some ten million rows, which take ten times as much in memory."""

_MOST_ROWS = 20_000_000


@dataclass(frozen=True)
class TextTable:
    """The cells of a file by row, and the line at which each row begins."""

    path: Path
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    lines: tuple[int, ...]
    notes: tuple[str, ...] = ()
    """What was left out while reading, counted."""
    nested: Mapping[str, str] = field(default_factory=dict)
    """Columns that hold neither text nor numbers, and what they hold; not in `columns`."""

    def where(self, row: int) -> str:
        """Name a row for an error message, as editors do: `file:line`."""
        return f"{self.path}:{self.lines[row]}"

    def column(self, name: str) -> tuple[str, ...]:
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
        place = self.columns.index(name)
        return tuple(row[place] for row in self.rows)

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


def read_text_table(path: Path, *, may_be_empty: bool = False, any_form: bool = False) -> TextTable:
    """Read a file whole.

    Args:
        path: A .csv or .parquet file; with `any_form` also .tsv, .txt, .jsonl or .ndjson.
        may_be_empty: Whether a header without rows is enough.
        any_form: Whether to read other forms of CSV too; rows must not be added to such a file.

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
    table = reader(path)
    for name in table.columns:
        if table.columns.count(name) > 1:
            raise DataError(path, f"the column {name!r} is there twice", remedy="rename one")
    if not (table.rows or may_be_empty):
        raise DataError(path, "has a header and no rows")
    return table


class _Line(NamedTuple):
    """A row of a CSV file, and the line at which it begins."""

    number: int
    cells: list[str]


def _read_plain(path: Path) -> TextTable:
    """Read CSV with commas."""
    header, *rows = _not_blank(list(_split(path, _decode(path, path.read_bytes()))))
    used = [name for sep, name in _SEPARATORS.items() if sep != "," and sep in header.cells[0]]
    if len(header.cells) == 1 and used:
        raise DataError(
            path,
            f"must be separated by commas, and looks separated by {used[0]}",
            remedy="save it as CSV with commas",
        )
    for line in rows:
        _refuse_ragged(path, line, len(header.cells))
    return _table(path, header.cells, rows, ())


def _read_any(path: Path) -> TextTable:
    """Read CSV as spreadsheets, people and other tools write it."""
    text = _decode(path, path.read_bytes(), may_be_utf16=True)
    named = _SEPARATOR_LINE.fullmatch(text.partition("\n")[0].strip("\r"))
    body, start = (text.partition("\n")[2], 2) if named else (text, 1)
    if not body.strip():
        raise DataError(path, "is empty")
    separator = named[1] if named else _sniff_separator(body)
    lines = [
        _Line(line.number, [cell.strip() for cell in line.cells])
        for line in _split(path, body, separator, start)
    ]
    filled = _not_blank(lines)
    header, rows, comments = _without_comments(filled)
    repeats = [line for line in rows if line.cells == header]
    rows = [_fitted(path, line, header) for line in rows if line.cells != header]
    blank = sorted({line.number for line in lines} - {line.number for line in filled})
    left_out = {
        "blank rows": blank,
        "comments": [line.number for line in comments],
        "repeated header lines": [line.number for line in repeats],
    }
    notes = tuple(
        f"{len(numbers)} {what} of {path.name} are left out; first: line {numbers[0]}"
        for what, numbers in left_out.items()
        if numbers
    )
    return _without_empty_columns(_table(path, header, rows, notes))


def _table(
    path: Path, columns: Sequence[str], lines: Sequence[_Line], notes: tuple[str, ...]
) -> TextTable:
    return TextTable(
        path,
        tuple(columns),
        tuple(tuple(line.cells) for line in lines),
        tuple(line.number for line in lines),
        notes,
    )


def _decode(path: Path, raw: bytes, *, may_be_utf16: bool = False) -> str:
    zeros = raw.count(0)
    if may_be_utf16 and raw.startswith(_UTF16_MARKS):
        text = _decode_utf16(path, raw)
    elif raw.startswith(_UTF16_MARKS) or zeros > len(raw) / 4:
        raise DataError(path, "must be UTF-8, and looks like UTF-16", remedy="save it as UTF-8")
    elif zeros:
        place = raw.index(0)
        raise DataError(
            f"{path}:{_line(raw, place)}",
            f"must not hold NUL bytes; the first of {zeros} is byte {place}",
            remedy="restore the file; it may have been cut off by a crash",
        )
    else:
        text = _decode_utf8(path, raw)
    if not text.strip():
        raise DataError(path, "is empty")
    return text


def _decode_utf8(path: Path, raw: bytes) -> str:
    try:
        return raw.decode("utf-8").lstrip("\ufeff")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path}:{_line(raw, error.start)}",
            f"must be UTF-8; byte {error.start} is 0x{raw[error.start]:02x}, as in Latin-1",
            remedy="save it as UTF-8",
        ) from error


def _decode_utf16(path: Path, raw: bytes) -> str:
    try:
        text = raw.decode("utf-16")
    except UnicodeDecodeError as error:
        raise DataError(
            path,
            f"must be UTF-8, and is damaged UTF-16 at byte {error.start}",
            remedy="save it as UTF-8",
        ) from error
    if "\0" in text:
        raise DataError(path, "must not hold NUL characters", remedy="save it as UTF-8")
    return text


def _line(raw: bytes, place: int) -> int:
    return raw.count(b"\n", 0, place) + 1


def _split(path: Path, text: str, separator: str = "", start: int = 1) -> Iterator[_Line]:
    """Return the lines that hold anything; with a separator, blanks before a cell do not count."""
    stream = io.StringIO(text, newline="")
    blanks = bool(separator)
    reader = csv.reader(stream, strict=True, delimiter=separator or ",", skipinitialspace=blanks)
    first = start - 1
    try:
        for cells in reader:
            if cells:
                yield _Line(start, cells)
            start = first + reader.line_num + 1
    except csv.Error as error:
        fault = "a quote is opened and never closed" if "end of data" in str(error) else str(error)
        raise DataError(f"{path}:{start}", f"not valid CSV: {fault}") from error


def _not_blank(lines: list[_Line]) -> list[_Line]:
    """Return the lines of which at least one cell is not white space; the first if all are."""
    kept = [line for line in lines if any(cell and not cell.isspace() for cell in line.cells)]
    return kept or lines[:1]


def _sniff_separator(text: str) -> str:
    """Return the separator by which the first rows have the most cells, and all equally many."""
    width: dict[str, int] = {}
    head = "\n".join(islice((line for line in text.splitlines() if line.strip()), 200))
    for separator in _SEPARATORS:
        reader = csv.reader(io.StringIO(head), delimiter=separator, skipinitialspace=True)
        try:
            rows = [
                row
                for row in islice(reader, _SNIFFED_ROWS)
                if any(row) and not row[0].startswith("#")
            ]
        except csv.Error:
            continue
        widths = {len(row) for row in rows}
        width[separator] = max(widths, default=1) if len(widths) == 1 else 1
    best = max(width, key=lambda each: width[each], default=",")
    return best if width.get(best, 1) > 1 else _separator_of_header(head)


def _separator_of_header(head: str) -> str:
    header = head.partition("\n")[0]
    return max(_SEPARATORS, key=lambda each: (each == "," and each in header, header.count(each)))


def _without_comments(lines: list[_Line]) -> tuple[list[str], list[_Line], list[_Line]]:
    """Part lines into the header's cells, the rows, and comments, which begin with `#`.

    The last comment before the first row is the header where that row cannot be it.
    """
    at = next((n for n, line in enumerate(lines) if not line.cells[0].startswith("#")), 0)
    before, header, rows = lines[:at], lines[at], lines[at + 1 :]
    if before and any(map(mentions_item, header.cells)):
        *before, header = before
        first = header.cells[0].removeprefix("#").strip()
        header, rows = _Line(header.number, [first, *header.cells[1:]]), lines[at:]
    comments = [line for line in rows if _COMMENT.match(line.cells[0]) and not any(line.cells[1:])]
    taken = {line.number for line in comments}
    rows = [line for line in rows if line.number not in taken]
    return header.cells, rows, [*before, *comments]


def _fitted(path: Path, line: _Line, header: Sequence[str]) -> _Line:
    """Return a row with as many cells as the header: empty ones may be too many, or lack a name."""
    extra = len(line.cells) - len(header)
    if extra > 0 and not any(line.cells[len(header) :]):
        return line._replace(cells=line.cells[: len(header)])
    if extra < 0 and not any(header[len(line.cells) :]):
        return line._replace(cells=[*line.cells, *[""] * -extra])
    _refuse_ragged(path, line, len(header))
    return line


def _refuse_ragged(path: Path, line: _Line, width: int) -> None:
    if len(line.cells) != width:
        raise DataError(
            f"{path}:{line.number}",
            f"must have {width} cells, as the header has",
            got=len(line.cells),
            remedy="a cell that holds a comma needs quotes",
        )


def _without_empty_columns(table: TextTable) -> TextTable:
    """Leave out columns that have neither a name nor a cell: separators at the end of lines."""
    if all(table.columns):
        return table
    kept = [
        place
        for place, name in enumerate(table.columns)
        if name or any(row[place] for row in table.rows)
    ]
    return replace(
        table,
        columns=tuple(table.columns[place] for place in kept),
        rows=tuple(tuple(row[place] for place in kept) for row in table.rows),
    )


def _read_json_lines(path: Path) -> TextTable:
    records: list[dict[str, Any]] = []
    numbers: list[int] = []
    text = _decode(path, path.read_bytes())
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{path}:{number}", "must be a JSON object on each line") from error
        if not isinstance(record, dict):
            raise DataError(
                f"{path}:{number}", "must be a JSON object on each line", got=type(record).__name__
            )
        records.append(record)
        numbers.append(number)
    names = dict.fromkeys(name for record in records for name in record)
    nested = {
        name: type(record[name]).__name__
        for record in records
        for name in record
        if isinstance(record[name], list | dict)
    }
    columns = tuple(name for name in names if name not in nested)
    rows = tuple(tuple(_json_text(record.get(name)) for name in columns) for record in records)
    return TextTable(path, tuple(map(str.strip, columns)), rows, tuple(numbers), nested=nested)


def _json_text(value: Any) -> str:
    if value is None or value != value:  # NaN, as pandas writes a missing value
        return ""
    return value.strip() if isinstance(value, str) else json.dumps(value)


def _read_parquet(path: Path) -> TextTable:
    try:
        file = pq.ParquetFile(path)
        if file.metadata.num_rows > _MOST_ROWS:
            raise DataError(
                path, f"must have at most {_MOST_ROWS} rows", got=file.metadata.num_rows
            )
        table = file.read()
    except (pa.ArrowException, OSError, ValueError, MemoryError) as error:
        raise DataError(path, "not a readable parquet file") from error
    names = table.column_names
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise DataError(path, f"the column {twice!r} is there twice", remedy="rename one")
    texts: dict[str, list[str]] = {}
    nested: dict[str, str] = {}
    for name in names:
        try:
            texts[name] = as_text(path, name, table[name])
        except DataError:  # raised again where the column is asked for
            nested[name] = str(table.schema.field(name).type)
    rows = tuple(zip(*texts.values(), strict=True)) if texts else ((),) * table.num_rows
    return TextTable(path, tuple(texts), rows, tuple(range(1, len(rows) + 1)), nested=nested)


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


_PLAIN: dict[str, Callable[[Path], TextTable]] = {".csv": _read_plain, ".parquet": _read_parquet}
_ANY_FORM: dict[str, Callable[[Path], TextTable]] = {
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
