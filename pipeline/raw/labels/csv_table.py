"""Tables of separated values that people made, read line by line: a fault has its line.

Plain: CSV with commas. In any form: as spreadsheets and other tools write it, with other
separators, a first line `sep=;`, blanks around cells, comments, and header lines that are repeated.
"""

import csv
import io
import re
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, islice
from pathlib import Path
from typing import NamedTuple

from pipeline.ground.errors import DataError
from pipeline.raw.item_names import mentions_item
from pipeline.raw.labels.text_bytes import TextFile, text_file
from pipeline.store.kept import Kept, cells
from pipeline.store.spill import Place

_SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
_SEPARATOR_LINE = re.compile(r'"?sep=(.)"?', re.IGNORECASE)
"""What Excel writes, and reads, before the header."""

_COMMENT = re.compile(r"#+(?:\s|$)")
"""A row of one such cell; a file may be called `#1.png`."""

_SNIFFED_LINES, _SNIFFED_ROWS = 200, 20
_HEAD_CHARS = 1 << 16


class CsvTable(NamedTuple):
    """A table as it was read."""

    columns: Sequence[str]
    rows: Kept[tuple[str, ...]]
    lines: Sequence[int]
    """At which each row begins, from 1."""
    notes: tuple[str, ...] = ()
    """What was left out while reading, counted."""


class _Line(NamedTuple):
    """A row of a file, and the line at which it begins."""

    number: int
    cells: list[str]


def read_plain(path: Path, place: Place, most_rows: int) -> CsvTable:
    """Read CSV with commas.

    Raises:
        DataError: It is something else; the line is named.
    """
    file = text_file(path)
    with file.open() as stream:
        filled = _filled(_split(path, stream), _Left())
        header = next(filled)
        used = [name for sep, name in _SEPARATORS.items() if sep != "," and sep in header.cells[0]]
        if len(header.cells) == 1 and used:
            raise DataError(
                path,
                f"must be separated by commas, and looks separated by {used[0]}",
                remedy="save it as CSV with commas",
            )
        rows = (_of_width(path, line, len(header.cells)) for line in filled)
        return _table(path, header.cells, rows, place, most_rows)


def read_any(path: Path, place: Place, most_rows: int) -> CsvTable:
    """Read CSV as spreadsheets, people and other tools write it.

    Raises:
        DataError: It is no such table; the line is named.
    """
    file = text_file(path, may_be_utf16=True)
    file, separator = _separator(file)
    left = _Left()
    with file.open() as stream:
        lines = _split(path, stream, separator or _sniff(file), 2 if separator else 1)
        stripped = (line._replace(cells=[cell.strip() for cell in line.cells]) for line in lines)
        header, rows = _parted(_filled(stripped, left), left)
        fitted = (_fitted(path, line, header) for line in rows)
        found = _table(path, header, fitted, place, most_rows)
    return _without_empty_columns(found._replace(notes=left.notes(path.name)))


def _table(
    path: Path, header: Sequence[str], lines: Iterable[_Line], place: Place, most_rows: int
) -> CsvTable:
    numbers = array("q")

    def rows() -> Iterator[tuple[str, ...]]:
        for line in lines:
            if len(numbers) == most_rows:
                raise DataError(
                    path,
                    f"must have at most {most_rows} rows, and has more",
                    remedy="is it the label file?",
                )
            numbers.append(line.number)
            yield tuple(line.cells)

    return CsvTable(header, Kept.keep(rows(), cells(len(header)), place), numbers)


@dataclass
class _Left:
    """The lines that are left out."""

    blank: "array[int]" = field(default_factory=lambda: array("q"))
    comments: "array[int]" = field(default_factory=lambda: array("q"))
    repeats: "array[int]" = field(default_factory=lambda: array("q"))

    def notes(self, name: str) -> tuple[str, ...]:
        """Return what is told of them."""
        told = {
            "blank rows": self.blank,
            "comments": self.comments,
            "repeated header lines": self.repeats,
        }
        return tuple(
            f"{len(numbers)} {what} of {name} are left out; first: line {numbers[0]}"
            for what, numbers in told.items()
            if numbers
        )


def _split(
    path: Path, stream: Iterable[str], separator: str = "", start: int = 1
) -> Iterator[_Line]:
    """Return the lines that hold anything; with a separator, blanks before a cell do not count."""
    blanks = bool(separator)
    reader = csv.reader(stream, strict=True, delimiter=separator or ",", skipinitialspace=blanks)
    first = start - 1
    try:
        for each in reader:
            if each:
                yield _Line(start, each)
            start = first + reader.line_num + 1
    except csv.Error as error:
        fault = "a quote is opened and never closed" if "end of data" in str(error) else str(error)
        raise DataError(f"{path}:{start}", f"not valid CSV: {fault}") from error


def _filled(lines: Iterator[_Line], left: _Left) -> Iterator[_Line]:
    """Return the lines of which at least one cell is not white space; the first if all are."""
    blank: _Line | None = None
    is_any = False
    for line in lines:
        if any(cell and not cell.isspace() for cell in line.cells):
            is_any = True
            yield line
        else:
            blank = blank or line
            left.blank.append(line.number)
    if not is_any and blank:
        yield blank


def _separator(file: TextFile) -> tuple[TextFile, str]:
    """Return the file behind a first line that names the separator, and that; else "".

    Raises:
        DataError: There is nothing behind it.
    """
    with file.open() as stream:
        line, end, _ = stream.read(_HEAD_CHARS).partition("\n")
    named = _SEPARATOR_LINE.fullmatch(line.strip("\r"))
    if not named:
        return file, ""
    file = replace(file, skipped=file.skipped + len(line + end))
    with file.open() as stream:
        if not any(map(str.strip, stream)):
            raise DataError(file.path, "is empty")
    return file, named[1]


def _sniff(file: TextFile) -> str:
    """Return the separator by which the first rows have the most cells, and all equally many."""
    width: dict[str, int] = {}
    head = _head(file)
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


def _head(file: TextFile) -> str:
    """Return the first lines that are not blank."""
    chars, text, lines = _HEAD_CHARS, "", list[str]()
    with file.open() as stream:
        while more := stream.read(chars):
            text += more
            lines = [line for line in text.splitlines() if line.strip()]
            if len(lines) > _SNIFFED_LINES:
                break
            chars = len(text)
    return "\n".join(lines[:_SNIFFED_LINES])


def _separator_of_header(head: str) -> str:
    header = head.partition("\n")[0]
    return max(_SEPARATORS, key=lambda each: (each == "," and each in header, header.count(each)))


def _parted(lines: Iterator[_Line], left: _Left) -> tuple[list[str], Iterator[_Line]]:
    """Part lines into the header's cells and the rows; comments, which begin with `#`, are left.

    The last comment before the first row is the header where that row cannot be it.
    """
    before: list[_Line] = []
    header = None
    for line in lines:
        if not line.cells[0].startswith("#"):
            header = line
            break
        before.append(line)
    if header is None:
        header, rows, before = before[0], iter(before[1:]), []
    elif before and any(map(mentions_item, header.cells)):
        *before, last = before
        rows = chain([header], lines)
        first = last.cells[0].removeprefix("#").strip()
        header = _Line(last.number, [first, *last.cells[1:]])
    else:
        rows = lines
    left.comments.extend(line.number for line in before)
    return header.cells, _without_comments(rows, header.cells, left)


def _without_comments(rows: Iterable[_Line], header: Sequence[str], left: _Left) -> Iterator[_Line]:
    for line in rows:
        if _COMMENT.match(line.cells[0]) and not any(line.cells[1:]):
            left.comments.append(line.number)
        elif line.cells == header:
            left.repeats.append(line.number)
        else:
            yield line


def _fitted(path: Path, line: _Line, header: Sequence[str]) -> _Line:
    """Return a row with as many cells as the header: empty ones may be too many, or lack a name."""
    extra = len(line.cells) - len(header)
    if extra > 0 and not any(line.cells[len(header) :]):
        return line._replace(cells=line.cells[: len(header)])
    if extra < 0 and not any(header[len(line.cells) :]):
        return line._replace(cells=[*line.cells, *[""] * -extra])
    return _of_width(path, line, len(header))


def _of_width(path: Path, line: _Line, width: int) -> _Line:
    if len(line.cells) != width:
        raise DataError(
            f"{path}:{line.number}",
            f"must have {width} cells, as the header has",
            got=len(line.cells),
            remedy="a cell that holds a comma needs quotes",
        )
    return line


def _without_empty_columns(table: CsvTable) -> CsvTable:
    """Leave out columns that have neither a name nor a cell: separators at the end of lines."""
    if all(table.columns):
        return table
    columns = dict(enumerate(table.columns))
    kept = [at for at, name in columns.items() if name or any(table.rows.texts(at))]
    rows = Kept.beside([table.rows.texts(at) for at in kept], table.rows.place)
    return table._replace(columns=[columns[at] for at in kept], rows=rows)
