"""Rows of one shape in many `.npy` files, of which an edit of the data changes few.

A shard ends after a row whose key's hash says so, within bounds (content-defined chunking;
Muthitacharoen, Chen and Mazieres, "A low-bandwidth network file system", 2001). So which rows
share a file follows from the keys and their order alone, and not from what was there before, and
an added or removed row moves the borders beside it and no others. `docs/decisions/0010`.

Axes: N = rows of all shards, B = rows of one read.
"""

import hashlib
import logging
import os
import resource
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from pipeline.ground.errors import IntegrityError
from pipeline.ground.seeds import derive

log = logging.getLogger(__name__)

Array = npt.NDArray[Any]
Rows = npt.NDArray[np.int64]
T = TypeVar("T")

_OPEN_SHARE = 4
"""One array keeps no more files open than this part of what the process may."""

_USUAL_LIMIT = 1024

_SPREAD = 4
"""A shard holds between a quarter of and four times the mean number of rows."""


@dataclass(frozen=True)
class Layout:
    """What all rows of an array have in common.

    Attributes:
        name: Of its files: `<name>-00000.npy`, ...
        shape: Of one row.
        dtype: Of the values.
        remedy: What to do where a file is damaged.
    """

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    remedy: str

    @property
    def row_bytes(self) -> int:
        """Bytes of one row."""
        return self.dtype.itemsize * int(np.prod(self.shape, dtype=np.int64))

    def file(self, number: int) -> str:
        """Name a shard."""
        return f"{self.name}-{number:05d}.npy"

    def header(self, rows: int) -> bytes:
        """Return the first bytes of a shard of so many rows."""
        stream = BytesIO()
        np.lib.format.write_array_header_1_0(
            stream,
            {
                "descr": np.lib.format.dtype_to_descr(self.dtype),
                "fortran_order": False,
                "shape": (rows, *self.shape),
            },
        )
        return stream.getvalue()


def shard_sizes(keys: Sequence[str], mean_rows: int) -> list[int]:
    """Return the number of rows of each shard.

    Args:
        keys: Of all rows, in their order.
        mean_rows: Expected rows of a shard, at least 1.
    """
    shortest, longest = max(1, mean_rows // _SPREAD), mean_rows * _SPREAD
    every = mean_rows - shortest + 1
    sizes, rows = [], 0
    for key in keys:
        rows += 1
        is_border = rows >= shortest and derive(0, "shard", key) % every == 0
        if is_border or rows >= longest:
            sizes.append(rows)
            rows = 0
    return [*sizes, rows] if rows else sizes


@dataclass(frozen=True, slots=True)
class StoredRows:
    """Where the bytes of some rows lie, one after the other."""

    path: Path
    start: int
    size: int

    def read(self) -> bytes:
        """Return the bytes.

        Raises:
            IntegrityError: The file ends before.
        """
        with self.path.open("rb", buffering=0) as stream:
            stream.seek(self.start)
            found = stream.read(self.size)
        if len(found) != self.size:
            raise IntegrityError(self.path, "is cut off", remedy="run the stage again")
        return found


class _Descriptors:
    """Files that are open for reading; the one opened first is closed first.

    Reads are random: which one was not used for longest says nothing of the next ones.
    """

    def __init__(self, files: int) -> None:
        self._known: dict[int, int] = {}
        self._is_checked = bytearray(files)
        most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        is_unlimited = most == resource.RLIM_INFINITY  # -1
        self._most = max(1, (_USUAL_LIMIT if is_unlimited else most) // _OPEN_SHARE)

    def of(self, number: int, open_file: Callable[[int, bool], int]) -> int:
        """Return the descriptor of a file by its number.

        Args:
            number: Of the file.
            open_file: Opens it; told whether to check its bytes, which is once.
        """
        descriptor = self._known.get(number)
        if descriptor is None:
            if len(self._known) >= self._most:
                os.close(self._known.pop(next(iter(self._known))))
            descriptor = open_file(number, not self._is_checked[number])
            self._known[number], self._is_checked[number] = descriptor, True
        return descriptor

    def __del__(self) -> None:
        for descriptor in self._known.values():
            os.close(descriptor)


@dataclass(frozen=True)
class Shards:
    """An array that was opened: [N, *shape], on disk.

    No file is looked at before a row of it is read. Then, once, its header, its size and its
    SHA-256 are checked.

    Attributes:
        folder: Where it is.
        layout: Of its rows.
        files: JSON: `file`, `rows` and `sha256` of each shard.
        ends: int64, the row after the last one of each shard.
        starts: int64, bytes before the first row of each shard.
    """

    folder: Path
    layout: Layout
    files: tuple[Mapping[str, Any], ...]
    ends: Rows
    starts: Rows
    _counts: Rows = field(repr=False)
    _opened: "_Descriptors" = field(repr=False, compare=False)

    @classmethod
    def open(cls, folder: Path, layout: Layout, files: Sequence[Mapping[str, Any]]) -> "Shards":
        """Open what `write_shards` wrote; the files are checked as they are read.

        Raises:
            KeyError, TypeError, ValueError: `files` is something else.
        """
        named = [(str(each["file"]), str(each["sha256"]), int(each["rows"])) for each in files]
        counts = np.array([rows for _, _, rows in named], dtype=np.int64)
        headers = {rows: len(layout.header(rows)) for rows in set(counts.tolist())}
        starts = np.array([headers[rows] for rows in counts.tolist()], dtype=np.int64)
        return cls(
            folder, layout, tuple(files), counts.cumsum(), starts, counts, _Descriptors(len(counts))
        )

    def __len__(self) -> int:
        return int(self.ends[-1]) if len(self.ends) else 0

    @property
    def shape(self) -> tuple[int, ...]:
        """Return (N, *shape)."""
        return (len(self), *self.layout.shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the values."""
        return self.layout.dtype

    def __getitem__(self, rows: Rows) -> Array:
        """Copy rows into memory: `read`."""
        return self.read(rows)

    def read(self, rows: Rows) -> Array:
        """Copy rows into memory, in the order asked for.

        Args:
            rows: int64 [B], in [0, N).

        Returns:
            [B, *shape].

        Raises:
            IndexError: A row number is negative or too large.
            IntegrityError: A file is missing, or is not as it was written.
        """
        return self._copy(rows, np.zeros(len(rows), dtype=np.int64), self.layout.shape)

    def read_parts(self, rows: Rows, parts: Rows) -> Array:
        """Copy of each row one entry along its first axis.

        Args:
            rows: int64 [B], in [0, N).
            parts: int64 [B], in [0, shape[0]).

        Returns:
            [B, *shape[1:]].

        Raises:
            IndexError: A number is negative or too large.
            IntegrityError: A file is missing, or is not as it was written.
        """
        count, *rest = self.layout.shape
        _check_range(parts, count, "parts")
        return self._copy(rows, np.asarray(parts) * (self.layout.row_bytes // count), tuple(rest))

    def stored(self, row: int, count: int = 1) -> StoredRows:
        """Return where some rows of one shard lie."""
        number, size = int(np.searchsorted(self.ends, row, side="right")), self.layout.row_bytes
        place = row - int(self.ends[number] - self._counts[number])
        return StoredRows(self._path(number), int(self.starts[number]) + place * size, count * size)

    def _path(self, number: int) -> Path:
        return self.folder / str(self.files[number]["file"])

    def _open_file(self, number: int, is_new: bool) -> int:
        """Open a file for reading; compare one that is new with what is recorded of it."""
        path = self._path(number)
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError as error:
            raise IntegrityError(path, "no such file", remedy=self.layout.remedy) from error
        try:
            if is_new and (rule := self._fault(number, descriptor)):
                raise IntegrityError(path, rule, remedy=self.layout.remedy)
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    def _fault(self, number: int, descriptor: int) -> str | None:
        """Return what is wrong with a file, or None."""
        rows, layout = int(self._counts[number]), self.layout
        header = layout.header(rows)
        with os.fdopen(descriptor, "rb", closefd=False) as stream:
            if stream.read(len(header)) != header:
                shape = (rows, *layout.shape)
                return f"is truncated or damaged, or does not hold {layout.dtype} of shape {shape}"
            size, wanted = os.fstat(descriptor).st_size, len(header) + rows * layout.row_bytes
            if size != wanted:
                return "is truncated" if size < wanted else "has bytes after its last row"
            stream.seek(0)
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        return None if digest == self.files[number]["sha256"] else "its values were changed"

    def _copy(self, rows: Rows, offsets: Rows, shape: tuple[int, ...]) -> Array:
        """Read with one call of the kernel for each row: maps of all files would keep them open."""
        wanted = np.asarray(rows, dtype=np.int64)
        _check_range(wanted, len(self), "rows")
        size = self.layout.dtype.itemsize * int(np.prod(shape, dtype=np.int64))
        out = np.empty((len(wanted), size), dtype=np.uint8)
        numbers = np.searchsorted(self.ends, wanted, side="right")
        inside = wanted - self.ends[numbers] + self._counts[numbers]
        places = self.starts[numbers] + inside * self.layout.row_bytes + offsets
        whole, start = out.reshape(-1).data, 0
        for number, at in zip(numbers.tolist(), places.tolist(), strict=True):
            descriptor = self._opened.of(number, self._open_file)
            if os.preadv(descriptor, (whole[start : start + size],), at) != size:
                raise IntegrityError(self._path(number), "is cut off", remedy=self.layout.remedy)
            start += size
        return out.view(self.layout.dtype).reshape(len(wanted), *shape)


def _check_range(numbers: npt.ArrayLike, end: int, what: str) -> None:
    values = np.asarray(numbers)
    if values.size and (values.min() < 0 or values.max() >= end):
        raise IndexError(f"{what} must lie in 0..{end - 1}")
