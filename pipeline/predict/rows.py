"""The columns of a prediction, and how they are written: the same rows, the same bytes."""

import csv
import io
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


def schema_of(description: Mapping[str, Any]) -> pa.Schema:
    """Return the columns of a model's predictions.

    Args:
        description: `Engine.describe`.

    Returns:
        `path`, `id`; `label`, `confidence` and one `p_<class>` for each class, or `value`; `error`;
        and `note`, which joins what was noted of the item.
    """
    own = answer_columns(description["classes"])
    return pa.schema(
        (name, pa.string() if name in _TEXTS else pa.float64())
        for name in ("path", "id", *own, "error", "note")
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


def write_output(path: Path, tables: Iterable[pa.Table], schema: pa.Schema) -> None:
    """Write all tables as one CSV or parquet file, by the ending of its name; one at a time."""
    with replacing(path) as scratch:
        if path.suffix.lower() == ".parquet":
            with pq.ParquetWriter(scratch, schema, compression=_COMPRESSION) as writer:
                for table in tables:
                    writer.write_table(table)
            return
        with scratch.open("w", encoding="utf-8", newline="") as stream:
            stream.write(csv_header(schema))
            for table in tables:
                stream.write(csv_lines(table))


def csv_header(schema: pa.Schema) -> str:
    """Return the first line."""
    return _lines([schema.names])


def csv_lines(table: pa.Table) -> str:
    """Return a table's lines: floats in the shortest form that reads back as the same, null empty.

    A path or an error that a spreadsheet would take for a formula gets a `'` before it.
    """
    columns = [column.to_pylist() for column in table.columns]
    for place, name in enumerate(table.column_names):
        if name in ("path", "error"):
            columns[place] = [cell and safe_cell(cell) for cell in columns[place]]
    return _lines(zip(*columns, strict=True))


def _lines(rows: Iterable[Sequence[Any]]) -> str:
    stream = io.StringIO(newline="")
    csv.writer(stream, lineterminator="\n").writerows(rows)
    return stream.getvalue()
