"""Write shards: what an earlier build holds is linked or copied, the other rows are computed.

The bytes depend on the rows alone, and not on where they come from. `docs/decisions/0010`.
"""

import hashlib
import logging
import os
import shutil
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from itertools import accumulate, groupby, pairwise
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import numpy as np

from pipeline.ground.errors import MachineError
from pipeline.ground.files import attempt, link_file, sha256_file, sweep_attempts, syncing
from pipeline.store.shards import Array, Layout, Shards, StoredRows

log = logging.getLogger(__name__)

T = TypeVar("T")

Keep = Callable[[Sequence[Path], Sequence[str], Sequence[str]], None]
"""Told of each finished shard: its files, their SHA-256, and the keys of its rows."""

_READS_A_CORE = 4
"""Files that are hashed at once: some wait for the disk."""

COPIES = 2
"""An output lies in the working tree and in DVC's cache."""

_PART_BYTES = 2 << 20
"""Of a shard, written at once: the kernel then keeps a file in larger blocks, and random reads are
faster by a third. With 4 MiB the memory for it costs more than the writing."""


class Reusable:
    """Rows of an earlier build that hold what a new one would compute.

    Args:
        arrays: That lie in the same shards, row by row.
        keys: What each row was computed from; equal keys, equal rows.
        name: Of the build, in messages.
    """

    def __init__(
        self, arrays: Sequence[Shards], keys: Sequence[str], name: str = "the last build"
    ) -> None:
        self.arrays = tuple(arrays)
        self.name = name
        self._keys = list(keys)
        self._rows = {key: row for row, key in enumerate(self._keys)}

    @classmethod
    def none(cls) -> "Reusable":
        """Return what holds nothing."""
        return cls((), ())

    def __contains__(self, key: str) -> bool:
        return key in self._rows

    def __len__(self) -> int:
        return len(self._rows)

    def count(self, keys: Sequence[str]) -> int:
        """Return how many of some keys it holds."""
        return sum(map(self._rows.__contains__, keys))

    def stored(self, keys: Sequence[str]) -> Iterator[list[StoredRows]]:
        """Yield for each array where the rows of some keys lie, neighbors together.

        Several threads may ask, and read.
        """
        largest = max((array.layout.row_bytes for array in self.arrays), default=1)
        most = max(1, _PART_BYTES // largest)
        rows = [self._rows[key] for key in keys]
        start = 0
        while start < len(rows):
            end = start + 1
            left = self._rows_left(rows[start], most)
            while end < len(rows) and end - start < left and rows[end] == rows[end - 1] + 1:
                end += 1
            yield [array.stored(rows[start], end - start) for array in self.arrays]
            start = end

    def stored_row(self, key: str) -> list[StoredRows] | None:
        """Return for each array where the row of a key lies, or None where there is none."""
        row = self._rows.get(key)
        return None if row is None else [array.stored(row) for array in self.arrays]

    def _rows_left(self, row: int, most: int) -> int:
        """Count the rows from one to its shard's last, or as many as are asked for."""
        ends = self.arrays[0].ends
        return min(most, int(ends[np.searchsorted(ends, row, side="right")]) - row)

    def keep_sound(self, wanted: Sequence[str]) -> None:
        """Forget rows in files whose bytes are not those recorded; look at wanted ones only.

        DVC does not notice an object of its cache that rotted.
        """
        if not self.arrays:
            return
        ends = self.arrays[0].ends
        rows = np.array([self._rows[key] for key in wanted if key in self._rows], dtype=np.int64)
        numbers = np.unique(np.searchsorted(ends, rows, side="right"))
        jobs = [(number, array) for number in numbers for array in self.arrays]
        with ThreadPoolExecutor(_READS_A_CORE * (os.cpu_count() or 1)) as pool:
            is_sound = list(pool.map(_is_sound, jobs))
        for number in {
            number for (number, _), sound in zip(jobs, is_sound, strict=True) if not sound
        }:
            file = self.arrays[0].files[number]
            log.warning("%s of %s is damaged; its rows are computed again", file["file"], self.name)
            for row in range(int(ends[number]) - int(file["rows"]), int(ends[number])):
                self._rows.pop(self._keys[row], None)

    def whole_shard(self, keys: Sequence[str]) -> int | None:
        """Return the number of the shard that holds exactly these rows in this order, or None."""
        first = self._rows.get(keys[0])
        if first is None:
            return None
        ends = self.arrays[0].ends
        number = int(np.searchsorted(ends, first, side="right"))
        start, end = int(ends[number]) - int(self.arrays[0].files[number]["rows"]), ends[number]
        is_same = start == first and self._keys[start:end] == list(keys)
        return number if is_same and all(key in self._rows for key in keys) else None


def write_shards(
    folder: Path,
    layouts: Sequence[Layout],
    parts: Sequence[Sequence[str]],
    *,
    fresh: Iterator[Sequence[Array]],
    old: Reusable,
    keep: Keep | None = None,
) -> list[list[dict[str, Any]]]:
    """Write arrays that share their shards, row by row; memory does not grow with their number.

    The bytes depend on the rows alone, and not on which of them are taken from an earlier build.

    Args:
        folder: It is there already.
        layouts: Of the arrays, as in `old`.
        parts: Keys of the rows of each shard.
        fresh: For each row that `old` lacks, in their order: a row of each array.
        old: What need not be computed.
        keep: See `fill_folder`.

    Returns:
        JSON for each array: `file`, `rows` and `sha256` of each shard.
    """

    def rows(part: Sequence[str]) -> Iterator[Sequence[Array | StoredRows]]:
        for is_old, run in groupby(part, old.__contains__):
            if is_old:
                yield from old.stored(list(run))
            else:
                yield from (next(fresh) for _ in run)

    def write(number: int) -> list[str]:
        part = parts[number]
        return write_shard(folder, layouts, number, rows(part), count=len(part))

    def make(numbers: Sequence[int]) -> Generator[list[str], None, None]:
        with _copying() as pool:
            copied = {
                number: pool.submit(write, number)
                for number in numbers
                if all(key in old for key in parts[number])
            }
            for number in numbers:
                yield copied[number].result() if number in copied else write(number)
        for _ in fresh:  # it may have something to do at its end
            raise RuntimeError("more rows were computed than were asked for")

    return fill_folder(folder, layouts, parts, old=old, make=make, keep=keep)


@contextmanager
def _copying() -> Iterator[Executor]:
    """Yield threads for shards of which no row is new; what is not begun ends with an error."""
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        try:
            yield pool
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def fill_folder(
    folder: Path,
    layouts: Sequence[Layout],
    parts: Sequence[Sequence[str]],
    *,
    old: Reusable,
    make: Callable[[Sequence[int]], Generator[Sequence[str], None, None]],
    keep: Keep | None = None,
) -> list[list[dict[str, Any]]]:
    """Take over the shards that an earlier build has, have the others made, and flush these.

    Args:
        folder: It is there already.
        layouts: Of the arrays, as in `old`.
        parts: Keys of the rows of each shard.
        old: The earlier build.
        make: Given the numbers of the missing shards, writes one after the other and gives the
            SHA-256 of its files.
        keep: Told of each shard once it is whole.

    Returns:
        JSON for each array: `file`, `rows` and `sha256` of each shard.
    """
    taken = [old.whole_shard(part) for part in parts]
    files: list[list[dict[str, Any]]] = [[] for _ in layouts]
    missing = [number for number, same in enumerate(taken) if same is None]
    with syncing() as sync, closing(make(missing)) as made:
        for number, (part, same) in enumerate(zip(parts, taken, strict=True)):
            digests = (
                next(made) if same is None else _take_shard(folder, layouts, number, old, same)
            )
            for each, layout, digest in zip(files, layouts, digests, strict=True):
                name = layout.file(number)
                if same is None:
                    sync(folder / name)
                each.append({"file": name, "rows": len(part), "sha256": digest})
            if keep:
                keep([folder / layout.file(number) for layout in layouts], digests, part)
        for _ in made:  # it may have something to do at its end
            raise RuntimeError("more shards were made than were asked for")
    sweep_attempts(folder)
    return files


def check_room(out: Path, size_bytes: int, *, remedy: str) -> None:
    """Refuse to begin what the disk has no room for.

    Args:
        out: The output; it need not exist.
        size_bytes: It will take.
        remedy: What to change where it does not fit.

    Raises:
        MachineError: There is no room for it and for the copy in DVC's cache.
    """
    place = next(parent for parent in out.absolute().parents if parent.exists())
    needed, free = COPIES * size_bytes, shutil.disk_usage(place).free
    if needed > free:
        raise MachineError(
            out,
            f"needs {needed / 1e6:,.0f} MB with DVC's copy, {free / 1e6:,.0f} MB are free",
            remedy=f"free space, {remedy}",
        )


def pieces(rows: Sequence[T], sizes: Sequence[int]) -> Iterator[Sequence[T]]:
    """Yield the rows of one shard after the other."""
    for start, end in pairwise(accumulate(sizes, initial=0)):
        yield rows[start:end]


def _take_shard(
    folder: Path, layouts: Sequence[Layout], number: int, old: Reusable, same: int
) -> list[str]:
    """Take over the files of an old shard that has the same rows; give their SHA-256."""
    for layout, array in zip(layouts, old.arrays, strict=True):
        link_file(array.folder / array.files[same]["file"], folder / layout.file(number))
    return [str(array.files[same]["sha256"]) for array in old.arrays]


def write_shard(
    folder: Path,
    layouts: Sequence[Layout],
    number: int,
    rows: Iterable[Sequence[Array | StoredRows]],
    *,
    count: int,
) -> list[str]:
    """Stream rows into a file of each array; give the SHA-256 of each, taken on the way.

    A file has its name once it is whole, however many processes write it at once.

    Args:
        folder: It is there already.
        layouts: Of the arrays.
        number: Of the shard.
        rows: For each array an entry; of one row, or of as many as in the others.
        count: Of the rows.
    """
    digests = [hashlib.sha256() for _ in layouts]
    with ExitStack() as stack:
        parts = [stack.enter_context(attempt(folder / layout.file(number))) for layout in layouts]
        streams: list[BinaryIO] = [
            stack.enter_context(part.open("wb", buffering=_PART_BYTES)) for part in parts
        ]

        def put(parts: Iterable[bytes | memoryview]) -> None:
            for stream, digest, part in zip(streams, digests, parts, strict=True):
                digest.update(part)
                stream.write(part)

        put(layout.header(count) for layout in layouts)
        for row in rows:
            put(
                each.read() if isinstance(each, StoredRows) else np.ascontiguousarray(each).data
                for each in row
            )
    return [digest.hexdigest() for digest in digests]


def _is_sound(job: tuple[int, Shards]) -> bool:
    number, array = job
    file = array.files[number]
    try:
        return sha256_file(array.folder / file["file"]) == str(file["sha256"])
    except OSError:
        return False
