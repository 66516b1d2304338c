"""Train, val or test: by the user's word, or by a hash of the item, on which nothing else acts.

An item keeps its split when others are added, removed or relabeled. There are no quotas, so the
shares are those of chance; `far_shares` finds the ones that are not.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import NormalDist
from typing import Self

import pandas as pd
from pydantic import Field, model_validator

from pipeline.data.manifest import SPLITS, TEXT
from pipeline.errors import DataError
from pipeline.params import Section
from pipeline.seeds import derive

_SIGNIFICANCE = 0.01
"""Chance of a false warning in a whole report."""

_MIN_EXPECTED = 5.0
"""With fewer expected items the normal approximation of the binomial does not hold."""


class SplitParams(Section):
    """`split`: how items are dealt out where the label file does not say."""

    seed: int = Field(ge=0, lt=2**63)
    """Another seed deals anew."""

    train: float = Field(gt=0.0, lt=1.0)
    """Expected share of the items, or of the groups."""

    val: float = Field(gt=0.0, lt=1.0)
    """Likewise."""

    test: float = Field(gt=0.0, lt=1.0)
    """Likewise."""

    @model_validator(mode="after")
    def _sum_to_one(self) -> Self:
        total = self.train + self.val + self.test
        if abs(total - 1.0) > 1e-9:
            raise ValueError(f"train + val + test must be 1, got {total:.6g}")
        return self


@dataclass(frozen=True)
class FarShare:
    """A split holds more or less of some items than chance explains."""

    split: str
    found: int
    expected: float
    z: float


def draw_split(pixel_hash: str, group: str | None, params: SplitParams) -> str:
    """Deal one item: u = hash(seed, group, or pixels without one) against cumulative fractions."""
    kind, key = ("pixels", pixel_hash) if group is None else ("group", group)
    u = (derive(params.seed, "split", kind, key) >> 10) / 2**53  # exact, and below 1
    if u < params.train:
        return "train"
    return "val" if u < params.train + params.val else "test"


def assign_splits(table: pd.DataFrame, params: SplitParams) -> pd.Series:
    """Give the split of every row: the given one where the user gave splits, else drawn.

    Args:
        table: Columns path, split (given, or missing), group (or missing), pixel_hash.
        params: Used if no split is given at all.

    Raises:
        DataError: Some rows have a split and some have none, or a group stands in two splits.
    """
    given = table["split"]
    if given.isna().all():
        drawn = [
            draw_split(pixels, None if pd.isna(group) else group, params)
            for pixels, group in zip(table["pixel_hash"], table["group"], strict=True)
        ]
        return pd.Series(drawn, index=table.index, dtype=TEXT)
    if given.isna().any():
        raise DataError(
            table["path"][given.isna()].iloc[0],
            "has no split, and other items have one",
            remedy="give every item a row and a split, or none",
        )
    refuse_crossing_groups(table)
    return given


def refuse_crossing_groups(table: pd.DataFrame) -> None:
    """Refuse given splits that tear a group apart.

    Args:
        table: Columns path, split, group (missing where an item has none).

    Raises:
        DataError: A group stands in two splits.
    """
    pairs = table[["group", "split"]].dropna().drop_duplicates()
    crossing = pairs[pairs["group"].duplicated()]
    if len(crossing):
        group = crossing["group"].iloc[0]
        rows = table[table["group"] == group].drop_duplicates("split")
        named = " and ".join(f"{row.path} in {row.split}" for row in rows[:2].itertuples())
        raise DataError(
            "split",
            f"a group must not cross splits, and {group!r} has {named}",
            remedy="give its items one split",
        )


def count_splits(splits: pd.Series) -> dict[str, int]:
    """Count the rows of each split, zeros too."""
    counts = splits.value_counts()
    return {split: int(counts.get(split, 0)) for split in SPLITS}


def expected_shares(splits: pd.Series, params: SplitParams, *, is_given: bool) -> dict[str, float]:
    """Give the share of each split that any part of the items should have, too."""
    if not is_given:
        return {"train": params.train, "val": params.val, "test": params.test}
    return {split: n / len(splits) for split, n in count_splits(splits).items()}


def far_shares(
    splits: pd.Series, groups: pd.Series, shares: Mapping[str, float], *, comparisons: int
) -> list[FarShare]:
    """Find splits whose number of items lies beyond chance.

    The number of a split's items is binomial; items of one group move together, which widens it.
    The bound on |z| is such that all comparisons of a report together raise a false alarm with a
    probability of 0.01 (Bonferroni). Too few items for the normal approximation: no verdict.

    Args:
        splits: Of the items in question.
        groups: Their groups, missing where an item has none.
        shares: Expected share of each split, 0..1.
        comparisons: How many numbers the report compares.
    """
    sizes = [*groups.value_counts(), *[1] * int(groups.isna().sum())]
    n, squares = len(splits), sum(size * size for size in sizes)
    limit = NormalDist().inv_cdf(1.0 - _SIGNIFICANCE / (2 * max(1, comparisons)))
    found = count_splits(splits)
    far = []
    for split, share in shares.items():
        independent = n * n / squares if squares else 0.0
        if independent * min(share, 1.0 - share) < _MIN_EXPECTED:
            continue
        z = (found[split] - n * share) / math.sqrt(share * (1.0 - share) * squares)
        if abs(z) > limit:
            far.append(FarShare(split, found[split], n * share, z))
    return far
