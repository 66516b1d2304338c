"""A table of texts whose texts are written anew; rows that stay the same keep their bytes."""

import gzip
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import chain, pairwise
from pathlib import Path
from typing import Any, BinaryIO, cast

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.ground.errors import DataError, IntegrityError
from pipeline.modality.types.stripping import CannotStrip, Stripped
from pipeline.raw.archive.archive import RawFault
from pipeline.raw.shards.column_cells import ERRORS, codec_of, open_parquet
from pipeline.raw.texts.cell_paths import PARQUET
from pipeline.raw.texts.delimited import Delimited
from pipeline.raw.texts.encoding import encoding_of
from pipeline.raw.texts.json_lines import JsonLines
from pipeline.raw.texts.missing_column import without_text
from pipeline.raw.texts.text_cells import is_text, open_rows

Write = Callable[[bytes], Stripped]

_ROWS_AT_ONCE = 4096
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_HALVES = "surrogatepass"
"""JSON may hold half a surrogate pair."""


@dataclass
class Table:
    """A table, and what was found in its texts.

    Attributes:
        path: Of the table.
        column: That of the texts.
        strip: From a text in UTF-8 to what stands for it.
        rows: That were looked at.
        kinds: Rows by what was found in them.
    """

    path: Path
    column: str
    strip: Write
    rows: int = 0
    kinds: Counter[str] = field(default_factory=Counter)

    def settle(self, text: str | bytes | None) -> str | bytes | None:
        """Count a text, and return what stands for it.

        Raises:
            DataError: It is no UTF-8.
        """
        self.rows += 1
        if text is None:
            return None
        content = text.encode("utf-8", _HALVES) if isinstance(text, str) else text
        try:
            done = self.strip(content)
        except CannotStrip as error:
            raise DataError(
                self.path, f"row {self.rows}: {error}", remedy="mend the row, or remove it"
            ) from error
        self.kinds.update(done.kinds.keys())
        return done.content.decode("utf-8", _HALVES) if isinstance(text, str) else done.content


def strip_table(table: Table, target: Path, encoding: str | None) -> None:
    """Write a table with the texts that `table.strip` gives; all else stays the same.

    Args:
        table: CSV, TSV, JSON Lines, each also with `.gz`, or Parquet.
        target: A new file of the same name.
        encoding: Of the table; None: as far as its bytes tell it.

    Raises:
        DataError: It is no such table, has no such column, or a text is no UTF-8.
        IntegrityError: What was written does not read as it must: a bug.
        OSError: A file cannot be read or written.
    """
    if table.path.name.lower().endswith(PARQUET):
        _strip_parquet(table, target)
        return
    encoding = encoding_of(table.path, table.path.name, encoding)
    _strip_lines(table, target, encoding)
    _check_lines(table, target, encoding)


def count_table(table: Table, encoding: str | None) -> None:
    """Look at all texts of a table, and write nothing.

    Raises:
        DataError, OSError: As `strip_table`.
    """
    if table.path.name.lower().endswith(PARQUET):
        for batch in _batches(table, open_parquet(table.path)):
            for text in batch.column(table.column).to_pylist():
                table.settle(text)
        return
    source = _open(table, table.path, encoding_of(table.path, table.path.name, encoding))
    for _, cells in source.rows():
        table.settle(_text(source, cells))


def _open(table: Table, path: Path, encoding: str) -> Delimited | JsonLines:
    return open_rows(path, table.path.name, table.column, encoding)


def _text(source: Delimited | JsonLines, cells: Any) -> str | None:
    try:
        return source.text_of(cells)
    except RawFault:  # a list or an object: no text, and `clean` says so
        return None


def _strip_lines(table: Table, target: Path, encoding: str) -> None:
    source = _open(table, table.path, encoding)
    with ExitStack() as opened:
        reader, writer = _streams(table.path, target, opened)
        at = 0
        for (place, cells), following in pairwise(chain(source.rows(), (None,))):  # type: ignore[misc]
            writer.write(reader.read(place.byte - at))
            line = reader.read(following[0].byte - place.byte if following else -1)
            at = place.byte + len(line)
            writer.write(_line(table, source, cells, line, encoding))
        writer.write(reader.read())


def _line(
    table: Table, source: Delimited | JsonLines, cells: Any, line: bytes, encoding: str
) -> bytes:
    text = _text(source, cells)
    settled = table.settle(text)
    if settled == text or settled is None:
        return line
    written = source.written(cells, str(settled)).encode(encoding, "surrogateescape")
    mark = _BYTE_ORDER_MARK if line.startswith(_BYTE_ORDER_MARK) else b""
    return mark + written + line[len(line.rstrip(b"\r\n")) :]


def _check_lines(table: Table, target: Path, encoding: str) -> None:
    """Compare the rows of both tables, but for the texts that were changed."""
    old, new = (_open(table, path, encoding) for path in (table.path, target))
    again = Table(table.path, table.column, table.strip)
    pairs = zip(old.rows(), new.rows(), strict=True)
    for (place, before), (_, after) in pairs:
        text = again.settle(_text(old, before))
        is_same = _text(new, after) == text
        if not is_same or _others(table, old, before) != _others(table, new, after):
            raise IntegrityError(f"{table.path}:{place.number}", "its copy reads otherwise")


def _others(table: Table, source: Delimited | JsonLines, cells: Any) -> list[Any]:
    if isinstance(source, JsonLines):
        return [(key, repr(value)) for key, value in cells.items() if key != table.column]
    pairs = zip(source.columns, cells, strict=True)
    return [cell for name, cell in pairs if name != table.column]


def _streams(source: Path, target: Path, opened: ExitStack) -> tuple[BinaryIO, BinaryIO]:
    reader, writer = (
        opened.enter_context(source.open("rb")),
        opened.enter_context(target.open("wb")),
    )
    if not source.name.lower().endswith(".gz"):
        return reader, writer
    packed = gzip.GzipFile(filename="", mode="wb", fileobj=writer, mtime=0)
    unpacked = gzip.GzipFile(fileobj=reader, mode="rb")
    streams = opened.enter_context(unpacked), opened.enter_context(packed)
    return cast(tuple[BinaryIO, BinaryIO], streams)


def _batches(table: Table, file: pq.ParquetFile) -> Iterator[pa.RecordBatch]:
    schema = file.schema_arrow
    if table.column not in schema.names:
        raise without_text(table.path, table.column, schema.names)
    if not is_text(schema.field(table.column).type):
        raise DataError(table.path, "must hold text", field=f"column {table.column!r}")
    try:
        yield from file.iter_batches(_ROWS_AT_ONCE)
    except ERRORS as error:
        raise DataError(table.path, "is cut or corrupt", remedy="restore it") from error


def _strip_parquet(table: Table, target: Path) -> None:
    file = open_parquet(table.path)
    schema = file.schema_arrow
    place = schema.get_field_index(table.column)
    with pq.ParquetWriter(target, schema, compression=codec_of(file)) as out:
        for batch in _batches(table, file):
            kind = schema.field(place).type
            texts = [table.settle(each) for each in batch.column(place).to_pylist()]
            own = kind.value_type if pa.types.is_dictionary(kind) else kind
            column = pa.array(texts, own)
            column = column.dictionary_encode().cast(kind) if own is not kind else column
            out.write_batch(batch.set_column(place, schema.field(place), column))
