"""Paths of texts in tables: `reviews.csv/text/00000017` is row 17, from 0, of the column `text`."""

import re
from urllib.parse import unquote

_LINES = (".csv", ".tsv", ".jsonl", ".ndjson")
PARQUET = ".parquet"
TABLES = (*_LINES, *(f"{suffix}.gz" for suffix in _LINES), PARQUET)
"""Ends of the names of tables whose cells can be texts, in lower case."""

_MEMBER = re.compile(r"([^/]+)/[0-9]{8}", re.ASCII)


def is_text_table(name: str) -> bool:
    """Return whether a file of this name can be a table of texts."""
    return name.lower().endswith(TABLES)


def cells_folder(file: str, column: str) -> str:
    """Return what stands before the row in the paths of a column's cells.

    Args:
        file: The table's path.
        column: Its `/` and `%` are percent-encoded.
    """
    return f"{file}/{_quoted(column)}"


def column_of(name: str, member: str) -> str | None:
    """Return the column of a cell; None for what is no text in a table.

    Args:
        name: Of the file.
        member: The rest of an item's path.
    """
    found = _MEMBER.fullmatch(member) if is_text_table(name) else None
    if found is None:
        return None
    column = unquote(found[1])
    return column if _quoted(column) == found[1] else None


def row_of(member: str) -> int:
    """Return the row, from 0, of a cell for which `column_of` finds a column."""
    return int(member.rpartition("/")[2])


def _quoted(column: str) -> str:
    if column in (".", ".."):  # which would be folders
        return column.replace(".", "%2E")
    return column.replace("%", "%25").replace("/", "%2F")
