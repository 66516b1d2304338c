"""The same content at several paths: keep one if the labels agree, none if they do not."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd

from pipeline.manifest.manifest import SPLITS


@dataclass(frozen=True)
class Duplicate:
    """A row that another one makes superfluous, or contradicts."""

    row: Any
    """Its index in the table."""
    reason: Literal["duplicate", "conflict"]
    detail: str
    kept: Any = None
    """Of a duplicate: the index of the row that stays."""


def is_repeated(hashes: pd.Series) -> pd.Series:
    """Return of each hash, none missing, whether there is another one like it, in the same order.

    By their first digit, so that a sixteenth of them is copied at once.
    """
    parts = hashes.groupby(hashes.str[:1], sort=False)
    found = pd.Series(data=False, index=hashes.index)
    for _, some in parts:
        found[some.index] = some.duplicated(keep=False)
    return found


def find_duplicates(table: pd.DataFrame) -> list[Duplicate]:
    """Find rows with equal content.

    With one label one stays, and the others are duplicates: of those in the most protected split
    that the user gave (test, then val, then train) the first in path order. With several labels all
    are in conflict: nobody knows which is right.

    Args:
        table: Columns path, label (none missing), split (as the user gave it, else missing),
            content_hash.
    """
    repeated = table[is_repeated(table["content_hash"])].sort_values("path")
    return [
        duplicate
        for _, same in repeated.groupby("content_hash", sort=False)
        for duplicate in _judge(same)
    ]


def _judge(same: pd.DataFrame) -> Iterator[Duplicate]:
    first = same.iloc[0]
    others = same[same["label"] != first["label"]]
    if len(others):
        second = others.iloc[0]
        for row in same.itertuples():
            other = second if row.label == first["label"] else first
            detail = f"{row.label!r} here, {other['label']!r} at {other['path']}"
            yield Duplicate(row.Index, "conflict", detail)
        return
    given = set(same["split"].dropna())
    protected = next((split for split in reversed(SPLITS) if split in given), None)
    kept = (same if protected is None else same[same["split"] == protected]).iloc[0]
    told = f" in {protected}" if len(given) > 1 else ""
    detail = f"as {kept['path']}{told}"
    for row in same.itertuples():
        if row.Index != kept.name:
            yield Duplicate(row.Index, "duplicate", detail, kept.name)
