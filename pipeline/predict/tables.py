"""A table of texts as it was given: its rows are items, and come out again beside the answers."""

import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.ground.errors import DataError
from pipeline.predict.rows import TAKEN
from pipeline.raw.shards.column_cells import ERRORS, open_parquet, refuse_damaged
from pipeline.raw.shards.item_table import member_name
from pipeline.raw.texts.cell_paths import PARQUET, UTF8, Column, cells_folder
from pipeline.raw.texts.delimited import Delimited
from pipeline.raw.texts.encoding import encoding_of
from pipeline.raw.texts.json_lines import JsonLines
from pipeline.raw.texts.text_cells import is_text, open_rows

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class GivenTable:
    """A table whose rows are items.

    Attributes:
        path: The file.
        column: That of the texts, with the encoding of the file.
        schema: Of all its columns; of CSV, TSV and JSON Lines all are text.
        count: Of its rows.
    """

    path: Path
    column: Column
    schema: pa.Schema
    count: int

    def cells(self) -> Iterator[str]:
        """Yield the paths of its texts beside the file, in order."""
        home = cells_folder(self.path.name, self.column)
        return (f"{home}/{member_name(row)}" for row in range(self.count))

    def joined(self, answers: Iterator[pa.Table], own: pa.Schema) -> Iterator[pa.Table]:
        """Put answers beside rows.

        Args:
            answers: Tables of `own`, of all rows in their order.
            own: Of answers.
        """
        rows = self._rows()
        for table in answers:
            given = self._table(list(islice(rows, table.num_rows)))
            columns = [*given.columns, *(table.column(name) for name in own.names)]
            yield pa.table(columns, schema=self.joined_schema(own))

    def joined_schema(self, own: pa.Schema) -> pa.Schema:
        """Return the columns of rows with answers; those of a name that is there get a prefix."""
        taken = set(self.schema.names)
        fields = []
        for field in own:
            name = field.name
            while name in taken:
                name = f"{TAKEN}{name}"
            taken.add(name)
            fields.append(field.with_name(name))
        return pa.schema([*self.schema, *fields])

    def _table(self, rows: Sequence[Any]) -> pa.Table:
        if rows and isinstance(rows[0], pa.RecordBatch):
            return pa.Table.from_batches(rows, self.schema)
        columns = zip(*rows, strict=True) if rows else [()] * len(self.schema)
        return pa.table([list(each) for each in columns], schema=self.schema)

    def _rows(self) -> Iterator[Any]:
        if self.path.name.lower().endswith(PARQUET):
            return _parquet_rows(self.path)
        table = open_rows(self.path, self.path.name, *self.column)
        if isinstance(table, JsonLines):
            return (_cells(record, self.schema.names) for _, record in table.rows())
        return ([*map(_whole, cells)] for _, cells in table.rows())


@dataclass(frozen=True)
class Columns:
    """Which column of a table holds texts, and how they are encoded.

    Attributes:
        names: That it may have, the surest first; one column alone needs no name.
        is_asked: Whether a person named it.
        encoding: Of tables of lines; None: it is found.
        usual: Of those that are no UTF-8; None: their bytes tell it.
    """

    names: tuple[str, ...]
    is_asked: bool = False
    encoding: str | None = None
    usual: str | None = None


def open_table(path: Path, wanted: Columns) -> GivenTable | None:
    """Open a table by the column of its texts; None where none is meant.

    Args:
        path: A file whose name is a table's.
        wanted: What is known of its texts.

    Raises:
        DataError: It breaks a rule of its format, or has no rows.
        OSError: It cannot be opened.
    """
    if path.name.lower().endswith(PARQUET):
        return _open_parquet(path, wanted)
    encoding = encoding_of(path, path.name, wanted.encoding, usual=wanted.usual)
    rows = open_rows(path, path.name, None, encoding)
    if isinstance(rows, Delimited):
        names: list[str] = list(rows.columns)
        column = _choose(names, wanted)
        if column is None:
            return None
        count = sum(1 for _ in open_rows(path, path.name, column, encoding).rows())
    else:
        found: dict[str, None] = {}
        count = 0
        for _, record in rows.rows():
            found.update(dict.fromkeys(record))
            count += 1
        names = list(found)
        column = _choose(names, wanted)
        if column is None:
            return None
    if not count:
        raise DataError(path, "has no rows")
    if encoding != UTF8 and wanted.encoding is None:
        by = "as data.encoding has it" if wanted.usual else "by its bytes"
        log.warning("%s: is no UTF-8, and is read as %s, %s", path, encoding, by)
    schema = pa.schema((name, pa.string()) for name in names)
    return GivenTable(path, Column(column, encoding), schema, count)


def columns_of(path: Path, wanted: Columns) -> Sequence[str]:
    """Return the columns of a table; of JSON Lines, those of its first row.

    Raises:
        DataError: As for `open_table`.
        OSError: Likewise.
    """
    if path.name.lower().endswith(PARQUET):
        names: Sequence[str] = open_parquet(path).schema_arrow.names
        return names
    encoding = encoding_of(path, path.name, wanted.encoding, usual=wanted.usual)
    rows = open_rows(path, path.name, None, encoding)
    return rows.columns if isinstance(rows, Delimited) else [*next(rows.rows(), (None, {}))[1]]


def _open_parquet(path: Path, wanted: Columns) -> GivenTable | None:
    file = open_parquet(path)
    schema = file.schema_arrow
    column = _choose([field.name for field in schema if is_text(field.type)], wanted)
    if column is None:
        return None
    if not file.metadata.num_rows:
        raise DataError(path, "has no rows")
    return GivenTable(path, Column(column), schema.remove_metadata(), file.metadata.num_rows)


def _choose(names: Sequence[str], wanted: Columns) -> str | None:
    folded = {name.strip().casefold(): name for name in names}
    for each in wanted.names:
        if each in names or each.strip().casefold() in folded:
            return each if each in names else folded[each.strip().casefold()]
    return names[0] if len(names) == 1 and not wanted.is_asked else None


def _cells(record: dict[str, Any], names: Sequence[str]) -> list[str | None]:
    """Return a row of JSON: text as it is, all else as JSON; what is no Unicode is escaped."""
    cells: list[str | None] = []
    for name in names:
        value = record.get(name)
        if value is not None and not isinstance(value, str):
            value = json.dumps(value, ensure_ascii=False)
        cells.append(value and _whole(value))
    return cells


def _whole(text: str) -> str:
    """Return a text that UTF-8 can hold: what is no Unicode is escaped."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def _parquet_rows(path: Path) -> Iterator[pa.RecordBatch]:
    try:
        for batch in pq.ParquetFile(path).iter_batches(batch_size=4096):
            for row in range(batch.num_rows):
                yield batch.slice(row, 1)
    except ERRORS as error:
        refuse_damaged(path, error)
