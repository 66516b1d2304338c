"""One file, looked through: its bytes, and what lies in archives, tables, arrays and databases."""

import csv
import gzip
import hashlib
import io
import json
import mmap
import sqlite3
import zlib
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.forgetting.needles import Needles
from pipeline.ground.errors import PipelineError
from pipeline.raw.archive.archive import Archive, RawFault

_BLOCK_BYTES = 1 << 22
_MOST_BYTES = 1 << 31
"""Of what is unpacked into memory."""

_ZIP, _PARQUET, _NPY, _GZ, _SQLITE = b"PK\x03\x04", b"PAR1", b"\x93NUMPY", b"\x1f\x8b", b"SQLite f"
_TAR, _TAR_AT = b"ustar", 257
_FAULTS = (
    OSError,
    ValueError,
    EOFError,
    zlib.error,
    pa.ArrowException,
    sqlite3.Error,
    PipelineError,
    RawFault,
)
"""Of what is not what its first bytes promise: its own bytes were searched before."""

ITSELF, INSIDE = "is the item itself", "holds the item"
ROW, FOLLOWED = "holds its row of the store", "was made from data with the item"
NAMED = "names the item"


def found_in(path: Path, needles: Needles) -> list[str]:
    """Return what a file has of forgotten items, in words.

    Args:
        path: A regular file.
        needles: What is searched for.

    Raises:
        OSError: It cannot be read.
    """
    size = path.stat().st_size
    if not size:
        return []
    with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as view:
        found = list(_in_bytes(view, needles))
        head = view[:512]
        with suppress(*_FAULTS):
            found.extend(_within(path, head, needles))
    return list(dict.fromkeys(found))


def _in_bytes(view: mmap.mmap, needles: Needles) -> Iterator[str]:
    sha256, md5 = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
    for start in range(0, len(view), _BLOCK_BYTES):
        block = view[start : start + _BLOCK_BYTES]
        sha256.update(block)
        md5.update(block)
    if sha256.hexdigest() in needles.ids:
        yield ITSELF
    if {md5.hexdigest(), f"{md5.hexdigest()}.dir"} & needles.objects:
        yield FOLLOWED
    longest = max(map(len, needles.texts), default=0)
    for start in range(0, len(view), _BLOCK_BYTES):
        if needles.names(view[max(0, start - longest - 1) : start + _BLOCK_BYTES + 1]):
            yield NAMED
            return


def _within(path: Path, head: bytes, needles: Needles) -> Iterator[str]:
    if head.startswith(_ZIP) or head[_TAR_AT:].startswith(_TAR):
        yield from _in_archive(path, ".zip" if head.startswith(_ZIP) else ".tar", needles)
    elif head.startswith(_PARQUET):
        yield from _in_parquet(path, needles)
    elif head.startswith(_NPY):
        yield from _in_array(path, needles)
    elif head.startswith(_GZ):
        with gzip.open(path) as stream:
            content = stream.read(_MOST_BYTES)
        yield from _in_text(content, needles)
        if needles.names(content):
            yield NAMED
    elif head.startswith(_SQLITE):
        yield from _in_database(path, needles)
    elif path.stat().st_size < _MOST_BYTES and b"\0" not in head:
        yield from _in_text(path.read_bytes(), needles)


def _in_archive(path: Path, kind: str, needles: Needles) -> Iterator[str]:
    archive = Archive(path, f"x{kind}")
    for each in archive.members():
        if each.fault is None and _sha256(archive.read(each.path, _MOST_BYTES)) in needles.ids:
            yield INSIDE
        if needles.names(each.path.encode("utf-8", "surrogateescape")):
            yield NAMED


def _in_parquet(path: Path, needles: Needles) -> Iterator[str]:
    file = pq.ParquetFile(path)
    for batch in file.iter_batches(1024, use_threads=False):
        for column in batch.columns:
            for cell in _leaves(column):
                if _sha256(cell) in needles.ids:
                    yield INSIDE
                if needles.names(cell):
                    yield NAMED


def _leaves(column: pa.Array) -> Iterator[bytes]:
    """Yield each text and each piece of bytes in a column."""
    types = pa.types
    if types.is_struct(column.type):
        for each in column.flatten():
            yield from _leaves(each)
    elif types.is_list(column.type) or types.is_large_list(column.type):
        yield from _leaves(column.flatten())
    elif types.is_dictionary(column.type):
        yield from _leaves(column.dictionary)
    elif types.is_string(column.type) or types.is_large_string(column.type):
        yield from (cell.encode() for cell in column.to_pylist() if cell)
    elif types.is_binary(column.type) or types.is_large_binary(column.type):
        yield from (cell for cell in column.to_pylist() if cell)


def _in_array(path: Path, needles: Needles) -> Iterator[str]:
    values = np.load(path, mmap_mode="r", allow_pickle=False)
    if needles.rows and values.ndim > 1 and len(values):
        for row in values:
            if _sha256(np.ascontiguousarray(row).tobytes()) in needles.rows:
                yield ROW


def _in_text(content: bytes, needles: Needles) -> Iterator[str]:
    """Look for an item that is a text: as a line, or as a cell of a table."""
    text = content.decode("utf-8", "surrogateescape")
    cells = (each.encode("utf-8", "surrogateescape") for each in _cells(text))
    if any(_sha256(each) in needles.ids for each in cells):
        yield INSIDE


def _cells(text: str) -> Iterator[str]:
    """Yield what may be an item in a file of text: its lines, and the cells of JSON and CSV."""
    lines = text.splitlines()
    yield from lines
    if text.startswith("{"):
        for line in lines:
            try:
                record = json.loads(line)
            except ValueError:
                return
            yield from (each for each in record.values() if isinstance(each, str))
        return
    for separator in filter(lines[0].__contains__, ",\t;|"):
        with suppress(csv.Error):
            for row in csv.reader(io.StringIO(text, newline=""), delimiter=separator):
                yield from row


def _in_database(path: Path, needles: Needles) -> Iterator[str]:
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        for line in database.iterdump():
            if needles.names(line.encode("utf-8", "surrogateescape")):
                yield NAMED
                return


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
