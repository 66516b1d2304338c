"""What is said of a table without the column that is meant, or with two of its name."""

from collections import Counter
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from pathlib import Path

from pipeline.ground.errors import DataError

_SHOWN = 30


def without_text(path: Path, column: str, columns: Sequence[str]) -> DataError:
    """Return that a table has no column of texts: which there are, and which is near."""
    known = [name for name in columns if name]
    folded = {name.strip().casefold(): name for name in known}
    close = get_close_matches(column.strip().casefold(), folded, 3)
    near = f"did you mean {' or '.join(repr(folded[each]) for each in close)}? " if close else ""
    return DataError(
        path,
        f"the column {column!r} of data.text is missing",
        remedy=f"{near}its columns are {named(known)}; a table without texts is left out by "
        "`clean.ignore`",
    )


def refuse_twice(path: Path, names: Iterable[str]) -> None:
    """Refuse names of columns that stand twice.

    Raises:
        DataError: There is one.
    """
    twice = next((name for name, n in Counter(names).items() if n > 1), None)
    if twice is not None:
        raise DataError(path, f"the column {twice!r} is there twice", remedy="rename one")


def named(columns: Sequence[str]) -> str:
    """Name columns for a message."""
    more = len(columns) - _SHOWN
    return ", ".join(map(repr, columns[:_SHOWN])) + (f" and {more} more" if more > 0 else "")
