"""Rows of tables that people made, taken out: what stands in all other rows keeps its bytes."""

import codecs
import gzip
import io
from bisect import bisect_right
from collections.abc import Collection, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.ground.errors import DataError
from pipeline.ground.files import replacing
from pipeline.raw.labels.text_table import read_text_table
from pipeline.raw.shards.column_cells import codec_of, open_parquet
from pipeline.raw.texts.cell_paths import PARQUET, Column
from pipeline.raw.texts.text_cells import open_rows

_MARKS = ((codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))


def cut_lines(path: Path, first_lines: Collection[int]) -> None:
    """Take rows out of a label file.

    Args:
        path: A table that `read_text_table` reads.
        first_lines: Where the rows begin, from 1; of a Parquet file, the numbers of its rows.

    Raises:
        DataError: The file is wrong, or no row begins there.
    """
    if path.name.lower().endswith(PARQUET):
        cut_parquet(path, {line - 1 for line in first_lines})
        return
    starts = list(read_text_table(path, any_form=True).lines)
    if not set(first_lines) <= set(starts):
        raise DataError(path, "was changed meanwhile", remedy="run this again")
    content = path.read_bytes()
    code = next((code for mark, code in _MARKS if content.startswith(mark)), "utf-8")
    lines = _lines(content.decode(code, "surrogateescape"))
    kept = (line for at, line in enumerate(lines, 1) if _row_at(starts, at) not in first_lines)
    with replacing(path) as scratch:
        scratch.write_bytes("".join(kept).encode(code, "surrogateescape"))


def _lines(text: str) -> list[str]:
    """Return lines with their ends; a carriage return ends one only where nothing else does."""
    return io.StringIO(text, newline="\n" if "\n" in text else "\r").readlines()


def _row_at(starts: list[int], line: int) -> int:
    """Return where the row that a line belongs to begins; 0 for the header."""
    at = bisect_right(starts, line)
    return starts[at - 1] if at else 0


def cut_text_rows(path: Path, column: Column, rows: Collection[int]) -> None:
    """Take rows out of a table of texts.

    Args:
        path: A table whose items are texts.
        column: That of the texts.
        rows: Their numbers, from 0.

    Raises:
        DataError: The file is wrong, or has no such row.
    """
    if path.name.lower().endswith(PARQUET):
        cut_parquet(path, rows)
        return
    table = open_rows(path, path.name, column.name, column.encoding)
    places = [place.byte for place, _ in table.rows()]
    if max(rows) >= len(places):
        raise DataError(path, "has no such row", got=max(rows))
    is_packed = path.name.lower().endswith(".gz")
    content = gzip.decompress(path.read_bytes()) if is_packed else path.read_bytes()
    ends = [*places[1:], len(content)]
    kept = [content[: places[0]]]
    kept += [
        content[start:end]
        for row, (start, end) in enumerate(zip(places, ends, strict=True))
        if row not in rows
    ]
    text = b"".join(kept)
    with replacing(path) as scratch:
        scratch.write_bytes(gzip.compress(text, mtime=0) if is_packed else text)


def cut_parquet(path: Path, rows: Collection[int]) -> None:
    """Take rows out of a Parquet file; its row groups, metadata and compression stay.

    Args:
        path: The file.
        rows: Their numbers, from 0.

    Raises:
        DataError: The file is damaged, or has no such row.
    """
    file = open_parquet(path)
    if max(rows) >= file.metadata.num_rows:
        raise DataError(path, "has no such row", got=max(rows))
    with (
        replacing(path) as scratch,
        pq.ParquetWriter(scratch, file.schema_arrow, compression=codec_of(file)) as out,
    ):
        for group in _groups(file, rows):
            out.write_table(group, row_group_size=max(1, group.num_rows))


def _groups(file: pq.ParquetFile, rows: Collection[int]) -> Iterator[pa.Table]:
    first = 0
    gone = np.array(sorted(rows))
    for number in range(file.num_row_groups):
        group = file.read_row_group(number, use_threads=False)
        is_kept = ~np.isin(np.arange(first, first + group.num_rows), gone)
        first += group.num_rows
        yield group if is_kept.all() else group.filter(pa.array(is_kept))
