"""What a killed run had finished: chunks of rows in `.rootstock/predict/<key>`, each whole.

A chunk is named by its number and by a digest of its files as the file system has them, so that one
whose files were changed in between is predicted anew.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.ground.errors import MachineError
from pipeline.ground.files import remove, sha256_json
from pipeline.ground.locks import try_lock
from pipeline.predict.inputs import Input
from pipeline.predict.rows import write_table

_DIGITS = 16


@dataclass(frozen=True)
class Chunk:
    """Files whose rows are kept together, and where."""

    files: tuple[Input, ...]
    path: Path


class Chunks:
    """The chunks of one model and one list of files.

    Args:
        folder: Of this model and list.
        files: All of them, in the order of the output.
        size: Files of a chunk.
    """

    def __init__(self, folder: Path, files: Sequence[Input], size: int) -> None:
        self.all = tuple(
            self._chunk(folder, number, tuple(files[start : start + size]))
            for number, start in enumerate(range(0, len(files), size))
        )
        self.todo = tuple(chunk for chunk in self.all if not _is_whole(chunk.path))

    @staticmethod
    def _chunk(folder: Path, number: int, files: tuple[Input, ...]) -> Chunk:
        digest = sha256_json([file.stamp() for file in files])
        return Chunk(files, folder / f"{number:06d}-{digest[:_DIGITS]}.parquet")

    def save(self, chunk: Chunk, table: pa.Table) -> None:
        """Keep the rows of a chunk."""
        write_table(chunk.path, table)

    def tables(self) -> Iterator[pa.Table]:
        """Yield the rows of all chunks, in order."""
        for chunk in self.all:
            yield pq.read_table(chunk.path)


def _is_whole(path: Path) -> bool:
    try:
        pq.read_table(path)
    except FileNotFoundError:
        return False
    except (OSError, pa.ArrowException):  # damaged since
        remove(path)
        return False
    return True


@contextmanager
def kept_in(folder: Path) -> Iterator[None]:
    """Hold the folder; it is removed if the block ends without an error.

    Raises:
        MachineError: Another process makes the same predictions here.
    """
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        if not try_lock(descriptor, folder):
            raise MachineError(
                folder,
                "another process predicts the same files here",
                remedy="wait for it, or stop it",
            )
        yield
        remove(folder)
    finally:
        os.close(descriptor)
