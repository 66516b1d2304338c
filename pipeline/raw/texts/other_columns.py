"""What a table says of its texts: the cells of all columns but theirs."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from pipeline.ground.errors import DataError
from pipeline.raw.labels.text_table import TextTable, as_text
from pipeline.raw.shards.column_cells import ERRORS, open_parquet, refuse_damaged
from pipeline.raw.texts.cell_paths import PARQUET, Column
from pipeline.raw.texts.delimited import Delimited
from pipeline.raw.texts.json_lines import JsonLines, as_cell
from pipeline.raw.texts.lines import ESCAPED
from pipeline.raw.texts.missing_column import refuse_twice, without_text
from pipeline.raw.texts.text_cells import is_text, open_rows

MOST_ROWS = 20_000_000
_MOST_SHARED = 10_000
"""Different cells that are kept once for all rows that have them: names of classes, splits."""


def other_columns(path: Path, column: Column) -> TextTable:
    """Read all columns but that of the texts; there is a row for each text, also for an empty one.

    Args:
        path: A table by its name.
        column: That of the texts, with the encoding of the file.

    Raises:
        DataError: It has no rows, or too many, or no such column; a row breaks a rule of the
            format, or the file is cut or corrupt.
        OSError: It cannot be opened.
    """
    if path.name.lower().endswith(PARQUET):
        table = _of_parquet(path, column.name)
    else:
        rows = open_rows(path, path.name, column.name, column.encoding)
        name = column.name
        table = _of_json(rows, name) if isinstance(rows, JsonLines) else _of_csv(rows, name)
        if rows.has_escaped:
            table = _without_escaped(table, column.encoding)
    if not table.lines:
        raise DataError(path, "has no rows")
    return table


def _of_csv(table: Delimited, column: str) -> TextTable:
    names = [name for name in table.columns if name and name != column]
    places = [table.columns.index(name) for name in names]
    share, lines, rows = _Shared(), list[int](), list[tuple[str, ...]]()
    for place, cells in _counted(table.path, table.rows()):
        rows.append(share.row([cells[at].strip() for at in places]))
        lines.append(place.number)
    return TextTable(table.path, tuple(names), tuple(rows), tuple(lines))


def _of_json(table: JsonLines, column: str) -> TextTable:
    places: dict[str, int] = {}
    nested: dict[str, str] = {}
    share, lines, rows = _Shared(), list[int](), list[tuple[str, ...]]()
    has_column = False
    for place, record in _counted(table.path, table.rows()):
        cells = [""] * len(places)
        for name, value in record.items():
            if name == column:
                has_column = True
                continue
            if name not in places:
                places[name] = len(places)
                cells.append("")
            if isinstance(value, list | dict):
                nested[name] = type(value).__name__
            else:
                cells[places[name]] = _whole(as_cell(value))
        rows.append(share.row(cells))
        lines.append(place.number)
    if rows and not has_column:
        raise without_text(table.path, column, list(places))
    kept = [(at, name) for name, at in places.items() if name not in nested]
    if len(kept) < len(places) or any(len(row) < len(places) for row in rows):
        rows = [tuple(row[at] if at < len(row) else "" for at, _ in kept) for row in rows]
    names = tuple(name for _, name in kept)
    return TextTable(table.path, names, tuple(rows), tuple(lines), nested=nested)


def _of_parquet(path: Path, column: str) -> TextTable:
    file = open_parquet(path)
    names = file.schema_arrow.names
    refuse_twice(path, names)
    if column not in names:
        raise without_text(path, column, names)
    kind = file.schema_arrow.field(column).type
    if not is_text(kind):
        raise DataError(path, "must hold text", field=f"column {column!r}", got=str(kind))
    texts: dict[str, list[str]] = {}
    nested: dict[str, str] = {}
    share = _Shared()
    for name in names:
        if name == column:
            continue
        try:
            cells = file.read(columns=[name], use_threads=False)[name]
        except ERRORS as error:
            refuse_damaged(path, error)
        except KeyError:  # a struct's leaves have other names
            nested[name] = str(file.schema_arrow.field(name).type)
            continue
        try:
            texts[name] = [share.cell(text) for text in as_text(path, name, cells)]
        except DataError:  # raised again where the column is asked for
            nested[name] = str(file.schema_arrow.field(name).type)
    count = file.metadata.num_rows
    rows = tuple(zip(*texts.values(), strict=True)) if texts else ((),) * count
    return TextTable(path, tuple(texts), rows, tuple(range(1, count + 1)), nested=nested)


def _without_escaped(table: TextTable, encoding: str) -> TextTable:
    """Empty the cells with a byte that is none of the encoding, and say how many they are."""
    rows, first, count = list(table.rows), "", 0
    for number, row in enumerate(rows):
        if not any(map(ESCAPED.search, row)):
            continue
        rows[number] = tuple("" if ESCAPED.search(cell) else cell for cell in row)
        cells = zip(table.columns, row, strict=True)
        wrong = [name for name, cell in cells if ESCAPED.search(cell)]
        first = first or f"{table.where(number)} column {wrong[0]!r}"
        count += len(wrong)
    if not count:
        return table
    note = f"{count} cells hold bytes that are no {encoding}, and count as empty; first: {first}"
    return replace(table, rows=tuple(rows), notes=(*table.notes, note))


def _counted(path: Path, rows: Iterator[Any]) -> Iterator[Any]:
    for number, each in enumerate(rows):
        if number == MOST_ROWS:
            raise DataError(
                path, f"must have at most {MOST_ROWS} rows", remedy="write several tables"
            )
        yield each


def _whole(text: str) -> str:
    """Return a text that UTF-8 can hold: a lone surrogate, which JSON can write, is replaced."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


class _Shared:
    """Equal cells, kept once."""

    def __init__(self) -> None:
        self._cells: dict[str, str] = {}

    def cell(self, text: str) -> str:
        """Return an equal text that is there already, or this one."""
        if len(self._cells) < _MOST_SHARED:
            return self._cells.setdefault(text, text)
        return self._cells.get(text, text)

    def row(self, cells: list[str]) -> tuple[str, ...]:
        """Return a row of such cells."""
        return tuple(map(self.cell, cells))
