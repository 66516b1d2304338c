"""Files that hold many raw items, and are read in place: archives, and item tables.

Each has members, which it lists and reads by their paths, as if it were a folder. Tables of texts
are read so too, but are no containers: which of their columns holds texts is said by the params.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from pipeline.raw.archive.archive import SUFFIXES as ARCHIVES
from pipeline.raw.archive.archive import Archive, is_archive
from pipeline.raw.archive.io import Member
from pipeline.raw.bucket.pointer import linked_tar
from pipeline.raw.bucket.reading import open_linked
from pipeline.raw.shards.item_table import ItemTable, holds_items
from pipeline.raw.texts.cell_paths import Column
from pipeline.raw.texts.text_cells import TextCells

TABLE = ".parquet"
SUFFIXES = (*ARCHIVES, TABLE)
"""Of the names of containers, in any case; not each table is one."""


class Readable(Protocol):
    """An open file whose members are read by their paths."""

    def read(self, path: str, max_bytes: int) -> bytes:
        """Return the bytes of a member.

        Raises:
            RawFault: There is no such member, it is faulty, too large or damaged.
            DataError: The container is cut or corrupt.
        """


class Container(Readable, Protocol):
    """An open container."""

    def members(self) -> Iterator[Member]:
        """List the members in the container's order."""


def is_container(path: Path) -> bool:
    """Return whether a file holds items: an archive by its name, a table by its columns.

    Raises:
        DataError: It is one that cannot be read in place, or a table that cannot be read.
        OSError: It cannot be opened.
    """
    return holds_items(path) if is_table(path.name) else is_archive(path)


def is_table(name: str) -> bool:
    """Return whether a file of this name is a table."""
    return name.lower().endswith(TABLE)


def open_container(path: Path, name: str) -> Container:
    """Open a container.

    Args:
        path: A regular file.
        name: What it is called, which may differ from its path's last part (in a cache).

    Raises:
        DataError: It cannot be read in place, or is no regular file.
        OSError: It cannot be opened.
    """
    return ItemTable(path) if is_table(name) else Archive(path, name)


def open_in(raw: Path, file: str) -> Container:
    """Open a container of a raw folder, one that lies in a bucket too.

    Raises:
        ParamsError: It lies in a bucket, and what reads that is not installed.
        DataError: It cannot be read in place, or is no regular file.
        OSError: It cannot be opened.
    """
    linked = linked_tar(raw, file)
    return open_container(raw / file, file) if linked is None else open_linked(linked)


def open_holder(path: Path, name: str, column: Column | None) -> Readable:
    """Open what holds members: a container, or a table of texts.

    Args:
        path: A regular file.
        name: What it is called.
        column: That of the texts, by `column_of`; None for a container.

    Raises:
        DataError: It cannot be read in place, or is no regular file.
        OSError: It cannot be opened.
    """
    return open_container(path, name) if column is None else TextCells(path, name, column)
