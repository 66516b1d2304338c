"""The list of bad items that a stop leaves behind, for a spreadsheet to open without harm."""

from pathlib import Path

import pandas as pd

from pipeline.ground.files import write_rows
from pipeline.raw.visible import safe_cell

BAD_ITEMS = Path(".rootstock") / "proofs" / "bad_items.csv"
"""Relative to the repository; it is there if, and only if, the last cleaning stopped for it."""

_COLUMNS = ("path", "reason", "detail")


def write_bad_items(bad: pd.DataFrame) -> Path:
    """Write one row for each bad item, and give the file.

    Args:
        bad: Columns path, reason, detail.
    """
    cells = bad[list(_COLUMNS)].itertuples(index=False)
    rows = [dict(zip(_COLUMNS, map(safe_cell, row), strict=True)) for row in cells]
    write_rows(BAD_ITEMS, rows, columns=_COLUMNS)
    return BAD_ITEMS


def remove_bad_items() -> None:
    """Remove the list of an earlier stop."""
    BAD_ITEMS.unlink(missing_ok=True)
