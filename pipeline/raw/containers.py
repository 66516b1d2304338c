"""Files that hold many raw items, and are read in place: archives, and item tables.

Each has members, which it lists and reads by their paths, as if it were a folder.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from pipeline.raw.archive.archive import SUFFIXES as ARCHIVES
from pipeline.raw.archive.archive import Archive, is_archive
from pipeline.raw.archive.io import Member
from pipeline.raw.shards.item_table import ItemTable, holds_items

TABLE = ".parquet"
SUFFIXES = (*ARCHIVES, TABLE)
"""Of the names of containers, in any case; not each table is one."""


class Container(Protocol):
    """An open container."""

    def members(self) -> Iterator[Member]:
        """List the members in the container's order."""

    def read(self, path: str, max_bytes: int) -> bytes:
        """Return the bytes of a member.

        Raises:
            RawFault: There is no such member, it is faulty, too large or damaged.
            DataError: The container is cut or corrupt.
        """


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
