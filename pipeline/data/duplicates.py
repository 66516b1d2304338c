"""The same pixels at several paths: keep one if the labels agree, none if they do not."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd

from pipeline.errors import DataError


@dataclass(frozen=True)
class Duplicate:
    """A row that another one makes superfluous, or contradicts."""

    row: Any
    """Its index in the table."""
    reason: Literal["duplicate", "conflict"]
    detail: str


def find_duplicates(table: pd.DataFrame) -> list[Duplicate]:
    """Find rows with equal pixels, mode and shape.

    With one label, the first in path order stays and the others are duplicates. With several
    labels all are in conflict: nobody knows which is right.

    Args:
        table: Columns path, label (none missing), split (as the user gave it, else missing),
            pixel_hash.

    Raises:
        DataError: A picture stands in two of the splits that the user gave: a leak.
    """
    repeated = table[table["pixel_hash"].duplicated(keep=False)].sort_values("path")
    return [
        duplicate
        for _, same in repeated.groupby("pixel_hash", sort=False)
        for duplicate in _judge(same)
    ]


def _judge(same: pd.DataFrame) -> Iterator[Duplicate]:
    first = same.iloc[0]
    if len(set(same["label"])) > 1:
        for row in same.itertuples():
            other = same[same["label"] != row.label].iloc[0]
            detail = f"{row.label!r} here, {other['label']!r} at {other['path']}"
            yield Duplicate(row.Index, "conflict", detail)
        return
    if len(set(same["split"].dropna())) > 1:
        other = same[same["split"] != first["split"]].iloc[0]
        raise DataError(
            other["path"],
            f"must not be the same picture in {other['split']} as {first['path']} in "
            f"{first['split']}",
            remedy="remove one of the two, or give both one split",
        )
    for row in same[1:].itertuples():
        yield Duplicate(row.Index, "duplicate", f"as {first['path']}")
