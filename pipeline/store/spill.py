"""Small pieces of bytes that wait on disk while a stage works, and are read as if in memory.

They lie in a file without a name, which ends with the process. The kernel keeps in memory what it
has room for, and may take it back: what grows with the number of items does not hold memory.
"""

import mmap
import tempfile
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:  # processes that only decode must not load it
    import pyarrow as pa

Bytes = npt.NDArray[np.uint8]
Piece = bytes | memoryview
"""Read-only bytes."""

Batches = Sequence["pa.RecordBatch"]

_PART_BYTES = 16 << 20


class Memory:
    """The same for few pieces, without a disk."""

    def keep(self, piece: Piece) -> Piece:
        """Return the piece back."""
        return piece

    def lay(self, pieces: Sequence[Piece], shape: tuple[int, ...]) -> Bytes:
        """Lay pieces of one size behind one another: uint8 [N, *shape]."""
        return np.frombuffer(b"".join(pieces), dtype=np.uint8).reshape(-1, *shape)

    def hold(self, batches: "Iterable[pa.RecordBatch]", schema: "pa.Schema") -> "Batches":
        """Return the batches."""
        return list(batches)


MEMORY = Memory()


class Spill(AbstractContextManager["Spill"]):
    """Pieces on the disk of a folder; they can be read for longer than more can be kept.

    Args:
        folder: It is there already; no name appears in it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 (closed in __exit__)
        self._part = memoryview(b"")
        self._used = 0
        self._end = 0

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def keep(self, piece: Piece) -> memoryview:
        """Write a piece, and give it back from the disk.

        Raises:
            OSError: The disk is full.
        """
        if self._used + len(piece) > len(self._part):
            size = max(_PART_BYTES, -(-len(piece) // mmap.PAGESIZE) * mmap.PAGESIZE)
            self._file.truncate(self._end + size)
            self._part = memoryview(
                mmap.mmap(self._file.fileno(), size, access=mmap.ACCESS_READ, offset=self._end)
            )
            self._used, self._end = 0, self._end + size
        # Written as a file: through a map, a full disk would kill the process.
        self._file.seek(self._end - len(self._part) + self._used)
        self._file.write(piece)
        self._file.flush()
        start, self._used = self._used, self._used + len(piece)
        return self._part[start : self._used]

    def lay(self, pieces: Sequence[Piece], shape: tuple[int, ...]) -> Bytes:
        """Lay pieces of one size behind one another in a file of their own: uint8 [N, *shape].

        Raises:
            OSError: The disk is full.
        """
        if not len(pieces):
            return np.zeros((0, *shape), dtype=np.uint8)
        with tempfile.TemporaryFile(dir=self._folder) as file:
            for piece in pieces:
                file.write(piece)
            file.flush()
            return np.asarray(np.memmap(file, np.uint8, mode="r", shape=(len(pieces), *shape)))

    def hold(self, batches: "Iterable[pa.RecordBatch]", schema: "pa.Schema") -> Batches:
        """Write batches of rows as they come, and give them back from the disk.

        Raises:
            OSError: The disk is full.
        """
        import pyarrow as pa

        with tempfile.TemporaryFile(dir=self._folder) as file:
            with pa.ipc.new_file(pa.PythonFile(file, "w"), schema) as out:
                for batch in batches:
                    out.write_batch(batch)
            file.flush()
            whole = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        found = pa.ipc.open_file(pa.py_buffer(whole))
        return [found.get_batch(number) for number in range(found.num_record_batches)]


Place = Spill | Memory
"""Where pieces wait."""
