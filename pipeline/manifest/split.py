"""Train, val or test: by the user's word, or by a hash of the item, on which nothing else acts.

An item keeps its split when others are added, removed or relabeled. There are no quotas, so the
shares are those of chance; `far_shares` finds the ones that are not. Where the user gave two splits
or one, what is missing is carved out by the same hash: an item's split then depends on the given
one and on itself. `small_classes` holds the one exception.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from statistics import NormalDist

import pandas as pd

from pipeline.ground.errors import DataError
from pipeline.ground.seeds import derive
from pipeline.manifest.manifest import SPLITS, TEXT
from pipeline.manifest.params import SplitParams

_SIGNIFICANCE = 0.01
"""Chance of a false warning in a whole report."""

_MIN_EXPECTED = 5.0
"""With fewer expected items the normal approximation of the binomial does not hold."""


@dataclass(frozen=True)
class FarShare:
    """A split holds more or less of some items than chance explains."""

    split: str
    found: int
    expected: float
    z: float


Dealing = Mapping[str, tuple[str, ...]]
"""By given split, or `NOT_GIVEN`: the splits among which the hash deals its items."""

NOT_GIVEN = ""

_DRAWN: Dealing = {NOT_GIVEN: SPLITS}
_CARVED: Mapping[frozenset[str], tuple[Dealing, str]] = {
    frozenset({"train", "test"}): (
        {"train": ("train", "val"), "test": ("test",)},
        "val is carved out of train",
    ),
    frozenset({"train", "val"}): (
        {"train": ("train", "val"), "val": ("test",)},
        "val is taken as the held-out test, and a new val is carved out of train",
    ),
    frozenset({"train"}): ({"train": SPLITS}, "val and test are carved out of train"),
}
"""By the splits that are given: how to deal, and what that means."""


def hash_number(content_hash: str, group: str | None, seed: int) -> float:
    """Return u in [0, 1): a hash of the seed and the group, or of the content without a group."""
    kind, key = ("pixels", content_hash) if group is None else ("group", group)
    return (derive(seed, "split", kind, key) >> 10) / 2**53  # exact, and below 1


def draw_split(
    content_hash: str, group: str | None, params: SplitParams, among: tuple[str, ...] = SPLITS
) -> str:
    """Deal one item: `hash_number` against the cumulative fractions of some splits."""
    if len(among) == 1:
        return among[0]
    u = hash_number(content_hash, group, params.seed)
    edge = 0.0
    for split, fraction in _fractions(params, among):
        edge += fraction
        if u < edge:
            return split
    return among[-1]


def _fractions(params: SplitParams, among: tuple[str, ...]) -> Iterator[tuple[str, float]]:
    parts = {split: getattr(params, split) for split in among}
    total = 1.0 if among == SPLITS else sum(parts.values())
    yield from ((split, part / total) for split, part in parts.items())


def plan_splits(given: pd.Series, params: SplitParams) -> tuple[Dealing, list[str]]:
    """Choose how to deal, from the splits that the user gave.

    Args:
        given: Of the labeled items; missing where there is none.
        params: Whether missing splits are carved.

    Returns:
        How to deal; a warning where splits are carved.

    Raises:
        DataError: A split is missing and cannot be carved, or must not be.
    """
    counts = given.value_counts()
    names = [split for split in SPLITS if split in counts]
    if not names:
        return _DRAWN, []
    if len(names) == len(SPLITS):
        return {split: (split,) for split in SPLITS}, []
    found = " and ".join(f"{split} ({counts[split]} items)" for split in names)
    if "train" not in names:
        raise DataError(
            "split",
            f"the given splits must have a train, and there is only {found}",
            remedy="name one of them train, or give no splits: all items are then dealt by "
            "split.train, split.val and split.test",
        )
    dealing, told = _CARVED[frozenset(names)]
    if params.missing == "error":
        raise DataError(
            "split",
            f"the given splits must be train, val and test, and there is only {found}",
            remedy=f"give the missing ones, or set split.missing to carve: {told}",
        )
    return dealing, [f"the given splits are {found} alone: {told} (split.missing: carve)"]


def assign_splits(table: pd.DataFrame, params: SplitParams, dealing: Dealing) -> pd.Series:
    """Return the split of every row: dealt among those that `dealing` names for its given one.

    Args:
        table: Columns path, split (given, or missing), group (or missing), content_hash.
        params: Seed and fractions.
        dealing: From `plan_splits`.

    Raises:
        DataError: Some rows have a split and some have none, or a group stands in two splits.
    """
    given = table["split"]
    if NOT_GIVEN not in dealing:
        _refuse_without_split(table)
        refuse_crossing_groups(table)
    drawn = [
        draw_split(content, None if pd.isna(group) else group, params, dealing[split])
        for split, content, group in zip(
            given.fillna(NOT_GIVEN), table["content_hash"], table["group"], strict=True
        )
    ]
    return pd.Series(drawn, index=table.index, dtype=TEXT)


def _refuse_without_split(table: pd.DataFrame) -> None:
    lacking = table["path"][table["split"].isna()]
    if len(lacking):
        raise DataError(
            lacking.iloc[0],
            f"has no split, and other items have one; {len(lacking)} of {len(table)} items are so",
            remedy="give each a split (a labels.csv with the columns path, label and split moves "
            "no file), or none to any",
        )


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


def expected_shares(given: pd.Series, params: SplitParams, dealing: Dealing) -> dict[str, float]:
    """Return the share of each split that any part of the items should have, too.

    Args:
        given: The given split of each kept item, or missing.
        params: The fractions.
        dealing: From `plan_splits`.
    """
    shares = dict.fromkeys(SPLITS, 0.0)
    for name, n in given.fillna(NOT_GIVEN).value_counts().items():
        for split, fraction in _fractions(params, dealing[str(name)]):
            shares[split] += n / len(given) * fraction
    return shares


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
