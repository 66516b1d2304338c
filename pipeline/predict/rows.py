"""The columns of a prediction, and how they are written: the same rows, the same bytes."""

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.ground.files import replacing
from pipeline.ground.tasks import answer_columns
from pipeline.raw.visible import safe_cell

FORMATS = (".csv", ".parquet")
_TEXTS = ("path", "id", "label", "error", "note")
_COMPRESSION = "zstd"
TAKEN = "predicted_"
"""Before the name of a column, where what was given has one of the same name."""


def schema_of(description: Mapping[str, Any], *, has_names: bool = True) -> pa.Schema:
    """Return the columns of a model's predictions.

    Args:
        description: `Engine.describe`.
        has_names: Begin with `path` and `id`.

    Returns:
        `path`, `id`; `label`, `confidence` and one `p_<class>` for each class, or `value`; `error`;
        and `note`, which joins what was noted of the item.
    """
    own = answer_columns(description["classes"])
    return pa.schema(
        (name, pa.string() if name in _TEXTS else pa.float64())
        for name in (*(("path", "id") if has_names else ()), *own, "error", "note")
    )


def to_table(rows: Sequence[Mapping[str, Any]], schema: pa.Schema) -> pa.Table:
    """Return rows as a table; what a row lacks is null."""
    rows = [{**row, "note": "; ".join(row.get("notes") or ()) or None} for row in rows]
    columns = [[row.get(name) for row in rows] for name in schema.names]
    return pa.table(columns, schema=schema)


def write_table(path: Path, table: pa.Table) -> None:
    """Write a parquet file."""
    with replacing(path) as scratch:
        pq.write_table(table, scratch, compression=_COMPRESSION)


def write_output(
    path: Path, tables: Iterable[pa.Table], schema: pa.Schema, *, given: int = 0
) -> None:
    """Write all tables as one CSV or parquet file, by the ending of its name; one at a time.

    Args:
        path: The file.
        tables: Of the schema.
        schema: The columns.
        given: So many of them were given, and are written as they are.
    """
    with replacing(path) as scratch:
        if path.suffix.lower() == ".parquet":
            with pq.ParquetWriter(scratch, schema, compression=_COMPRESSION) as writer:
                for table in tables:
                    writer.write_table(table)
            return
        with scratch.open("w", encoding="utf-8", newline="") as stream:
            stream.write(csv_header(schema))
            for table in tables:
                stream.write(csv_lines(table, given=given))


def csv_header(schema: pa.Schema) -> str:
    """Return the first line."""
    return _lines([schema.names])


def csv_lines(table: pa.Table, *, given: int = 0) -> str:
    """Return a table's lines: floats in the shortest form that reads back as the same, null empty.

    A path or an error that a spreadsheet would take for a formula gets a `'` before it, but for the
    first columns, which were given.
    """
    columns = [column.to_pylist() for column in table.columns]
    for place, name in enumerate(table.column_names):
        if place < given:
            columns[place] = [_text(cell) for cell in columns[place]]
        elif name.removeprefix(TAKEN) in ("path", "error"):
            columns[place] = [cell and safe_cell(cell) for cell in columns[place]]
    return _lines(zip(*columns, strict=True))


def _text(cell: Any) -> Any:
    return cell.decode("utf-8", "backslashreplace") if isinstance(cell, bytes) else cell


def _lines(rows: Iterable[Sequence[Any]]) -> str:
    lines = _Lines()
    csv.writer(lines, lineterminator="\r\n").writerows(rows)
    return "".join(lines)


class _Lines(list[str]):
    """Lines of CSV, ended by a line feed.

    A writer quotes the cells that hold a character of its line's end, so that this must have both.
    """

    def write(self, line: str) -> None:
        self.append(line.removesuffix("\r\n") + "\n")
