"""The table of suspects: one row for each item and reason, the most suspect first.

Items of the test split stand after all others and are ranked apart: to relabel them as a model
advises makes the model's own errors right, and the test metric too good.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.ground.files import write_rows
from pipeline.ground.tables import write_table
from pipeline.manifest.manifest import TEXT
from pipeline.raw.visible import safe_line
from pipeline.suspects.reasons import REASONS, Reason

COLUMNS = ("rank", "path", "id", "split", "label", "suggested", "reason", "score", "detail")
TEST = "test"

_DIGITS = 6


@dataclass(frozen=True)
class Suspect:
    """One item, and what speaks against it."""

    row: int
    """Of the store."""

    reason: Reason
    score: float
    """Higher is more suspect; comparable within a reason."""

    detail: str
    suggested: str | None = None
    """The label that is expected; for `label` alone."""

    other: int | None = None
    """The row of the item that it looks like; for `look_alike` alone."""


def tabulate(index: pd.DataFrame, suspects: Sequence[Suspect], *, most: int) -> pd.DataFrame:
    """Return the table: reasons in their order, then scores from the highest; test items last.

    Args:
        index: Of the store: path, id, split, label.
        suspects: In any order.
        most: Rows of a reason, and of the test split likewise, after which no more are listed.

    Returns:
        `COLUMNS`, and row and other (of the store; -1 for none); rank counts from 1 within split
        test or not, and reason.
    """
    rows = list(_ranked(index, suspects, most))
    table = pd.DataFrame(rows, columns=[*COLUMNS, "row", "other"])
    texts = dict.fromkeys(("path", "id", "split", "label", "suggested", "reason", "detail"), TEXT)
    return table.astype(
        texts | {"rank": np.int64, "score": np.float64, "row": np.int64, "other": np.int64}
    )


def _ranked(
    index: pd.DataFrame, suspects: Sequence[Suspect], most: int
) -> Iterator[tuple[object, ...]]:
    splits = index["split"].to_numpy()
    for is_test in (False, True):
        for reason in REASONS:
            mine = [
                each
                for each in suspects
                if each.reason == reason and (splits[each.row] == TEST) == is_test
            ]
            mine.sort(key=lambda each: (-each.score, each.row))
            for rank, each in enumerate(mine[:most], start=1):
                item = index.iloc[each.row]
                yield (
                    rank,
                    item["path"],
                    item["id"],
                    item["split"],
                    item["label"],
                    each.suggested,
                    reason,
                    round(each.score, _DIGITS),
                    each.detail,
                    each.row,
                    -1 if each.other is None else each.other,
                )


def write_suspects(parquet: Path, *, csv: Path, table: pd.DataFrame) -> None:
    """Write a table from `tabulate` twice: as it is for programs, and for spreadsheets."""
    shown = table[list(COLUMNS)]
    write_table(parquet, shown)
    records = shown.astype(object).where(shown.notna(), "").to_dict("records")
    rows = [
        {
            str(name): safe_line(value) if isinstance(value, str) else value
            for name, value in each.items()
        }
        for each in records
    ]
    write_rows(csv, rows, columns=COLUMNS)
