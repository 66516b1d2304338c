"""What a table says of its texts: the cells of all columns but theirs."""

from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pipeline.ground.errors import DataError
from pipeline.raw.labels.text_table import MOST_ROWS, TextTable, read_columns
from pipeline.raw.shards.column_cells import ERRORS, open_parquet, refuse_damaged
from pipeline.raw.texts.cell_paths import PARQUET, Column
from pipeline.raw.texts.delimited import Delimited
from pipeline.raw.texts.json_lines import JsonLines, as_cell, whole
from pipeline.raw.texts.lines import ESCAPED
from pipeline.raw.texts.missing_column import refuse_twice, without_text
from pipeline.raw.texts.text_cells import is_text, open_rows
from pipeline.store.kept import Kept
from pipeline.store.kept import cells as cells_of
from pipeline.store.spill import MEMORY, Place


def other_columns(path: Path, column: Column, place: Place = MEMORY) -> TextTable:
    """Read all columns but that of the texts; there is a row for each text, also for an empty one.

    Args:
        path: A table by its name.
        column: That of the texts, with the encoding of the file.
        place: Where the rows wait.

    Raises:
        DataError: It has no rows, or too many, or no such column; a row breaks a rule of the
            format, or the file is cut or corrupt.
        OSError: It cannot be opened.
    """
    if path.name.lower().endswith(PARQUET):
        table = _of_parquet(path, column.name, place)
    else:
        rows = open_rows(path, path.name, column.name, column.encoding)
        if isinstance(rows, JsonLines):
            table = _of_json(rows, column, place)
        else:
            table = _of_csv(rows, column, place)
    if not table.lines:
        raise DataError(path, "has no rows")
    return table


def _of_csv(table: Delimited, column: Column, place: Place) -> TextTable:
    names = [name for name in table.columns if name and name != column.name]
    places = [table.columns.index(name) for name in names]
    escaped, lines = _Escaped(table.path, names, column.encoding), array("q")

    def rows() -> Iterator[tuple[str, ...]]:
        for start, cells in _counted(table.path, table.rows()):
            lines.append(start.number)
            row = tuple(cells[at].strip() for at in places)
            yield escaped.emptied(row, start.number) if table.has_escaped else row

    kept = Kept.keep(rows(), cells_of(len(names)), place)
    return TextTable(table.path, tuple(names), kept, lines, escaped.notes())


def _of_json(table: JsonLines, column: Column, place: Place) -> TextTable:
    """Read the objects twice: first for the columns that there are, then for their cells."""
    found: dict[str, None] = {}
    nested: dict[str, str] = {}
    lines = array("q")
    for start, record in _counted(table.path, table.rows()):
        lines.append(start.number)
        for name, value in record.items():
            found.setdefault(name)
            if isinstance(value, list | dict):
                nested[name] = type(value).__name__
    if lines and column.name not in found:
        raise without_text(table.path, column.name, list(found))
    nested.pop(column.name, None)
    names = tuple(name for name in found if name not in nested and name != column.name)
    rows = (tuple(whole(as_cell(record.get(name))) for name in names) for _, record in table.rows())
    kept = Kept.keep(rows, cells_of(len(names)), place)
    return TextTable(table.path, names, kept, lines, nested=nested)


def _of_parquet(path: Path, column: str, place: Place) -> TextTable:
    file = open_parquet(path)
    names = file.schema_arrow.names
    refuse_twice(path, names)
    if column not in names:
        raise without_text(path, column, names)
    kind = file.schema_arrow.field(column).type
    if not is_text(kind):
        raise DataError(path, "must hold text", field=f"column {column!r}", got=str(kind))
    try:
        table = read_columns(path, file, [name for name in names if name != column], place)
    except ERRORS as error:
        refuse_damaged(path, error)
    return table


class _Escaped:
    """Cells with a byte that is none of the encoding: they count as empty.

    Args:
        path: The table.
        names: Of its columns.
        encoding: Of the table.
    """

    def __init__(self, path: Path, names: Sequence[str], encoding: str) -> None:
        self._path = path
        self._names = names
        self._encoding = encoding
        self._first = ""
        self._count = 0

    def emptied(self, row: tuple[str, ...], line: int) -> tuple[str, ...]:
        """Return a row without such cells, and count them."""
        wrong = [at for at, cell in enumerate(row) if ESCAPED.search(cell)]
        if not wrong:
            return row
        self._first = self._first or f"{self._path}:{line} column {self._names[wrong[0]]!r}"
        self._count += len(wrong)
        return tuple("" if at in wrong else cell for at, cell in enumerate(row))

    def notes(self) -> tuple[str, ...]:
        """Return how many they are; nothing where there are none."""
        told = f"{self._count} cells hold bytes that are no {self._encoding}, and count as empty"
        return (f"{told}; first: {self._first}",) if self._count else ()


def _counted(path: Path, rows: Iterator[Any]) -> Iterator[Any]:
    for number, each in enumerate(rows):
        if number == MOST_ROWS:
            raise DataError(
                path, f"must have at most {MOST_ROWS} rows", remedy="write several tables"
            )
        yield each
