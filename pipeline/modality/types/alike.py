"""Pairs of items that are nearly the same, as a modality's search finds them."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd


@dataclass(frozen=True)
class Alike:
    """Pairs of items that are nearly the same, each once."""

    pairs: pd.DataFrame
    """Columns first, second (numbers of items, first < second), correlation, turn (a place in
    `Reader.turns`); sorted by first and second. All pairs there are, but for equal and for crowded
    items, which have at least one link to what they belong to."""
    flat: int
    """Items whose sketch says too little to compare."""
    crowded: int
    """Items with so many candidates that not all were looked at."""


def join_pairs(parts: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Return every pair once, in its best turn, sorted."""
    return (
        pd.concat(parts)
        .sort_values(
            ["first", "second", "correlation", "turn"], ascending=[True, True, False, True]
        )
        .drop_duplicates(["first", "second"], ignore_index=True)
    )
