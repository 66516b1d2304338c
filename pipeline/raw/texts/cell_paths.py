"""Paths of texts in tables: `reviews.csv/text/00000017` is row 17, from 0, of the column `text`.

The encoding of a table stands before the row where it is not UTF-8: `a.csv/text/cp1252/00000017`.
"""

import re
from typing import NamedTuple
from urllib.parse import unquote

_LINES = (".csv", ".tsv", ".jsonl", ".ndjson")
PARQUET = ".parquet"
TABLES = (*_LINES, *(f"{suffix}.gz" for suffix in _LINES), PARQUET)
"""Ends of the names of tables whose cells can be texts, in lower case."""

UTF8 = "utf-8"
_MEMBER = re.compile(r"([^/]+)/(?:([a-z0-9_-]+)/)?[0-9]{8}", re.ASCII)


class Column(NamedTuple):
    """What holds the texts of a table."""

    name: str
    encoding: str = UTF8
    """Of the table, as Python calls it."""


def is_text_table(name: str) -> bool:
    """Return whether a file of this name can be a table of texts."""
    return name.lower().endswith(TABLES)


def cells_folder(file: str, column: Column) -> str:
    """Return what stands before the row in the paths of a column's cells.

    Args:
        file: The table's path.
        column: The `/` and `%` of its name are percent-encoded.
    """
    home = f"{file}/{_quoted(column.name)}"
    return home if column.encoding == UTF8 else f"{home}/{column.encoding}"


def column_of(name: str, member: str) -> Column | None:
    """Return the column of a cell; None for what is no text in a table.

    Args:
        name: Of the file.
        member: The rest of an item's path.
    """
    found = _MEMBER.fullmatch(member) if is_text_table(name) else None
    if found is None:
        return None
    column = Column(unquote(found[1]), found[2] or UTF8)
    return column if _quoted(column.name) == found[1] else None


def row_of(member: str) -> int:
    """Return the row, from 0, of a cell for which `column_of` finds a column."""
    return int(member.rpartition("/")[2])


def _quoted(column: str) -> str:
    if column in (".", ".."):  # which would be folders
        return column.replace(".", "%2E")
    return column.replace("%", "%25").replace("/", "%2F")
