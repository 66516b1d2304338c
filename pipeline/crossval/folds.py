"""Folds of a cross-validation: which items train, choose the epoch, and are held out.

Axes: N = rows of the store.
"""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import pandas as pd

from pipeline.crossval.params import CrossvalParams
from pipeline.ground.errors import ParamsError
from pipeline.ground.params import Task
from pipeline.ground.seeds import derive
from pipeline.manifest.manifest import group_names
from pipeline.train.inputs import Rows

_STRATA = 10
"""Regression is balanced over at most this many ranges of the target, of equal size."""

_MOST_PARTS = 10
"""A share of a training part is so many of at most this many equal parts, or one of more."""

_FEWEST = 4
"""Groups of a class, with which half of them can train, validate, and be held out."""


@dataclass(frozen=True)
class Fold:
    """One training of a cross-validation; numbers count from 1."""

    repeat: int
    fold: int
    rows: Rows
    held_out: np.ndarray
    """int64 rows of the store, ascending."""

    @property
    def name(self) -> str:
        """How files and messages call it."""
        return f"repeat-{self.repeat}-fold-{self.fold}"


def split_folds(
    index: pd.DataFrame, params: CrossvalParams, *, task: Task, alike: pd.DataFrame | None = None
) -> list[Fold]:
    """Deal items out, whole groups at a time, balanced over the classes.

    Items that look alike go together as those of one group do: else the one would be trained on
    and the other held out.

    Within a repeat every item is held out once. A fold's validation part is carved out of its
    training part in the same way.

    Args:
        index: The store's rows: label, split, group, path.
        params: How.
        task: What labels are.
        alike: Pairs of near-duplicates: path_a, path_b; others than the store's do not count.

    Raises:
        ParamsError: A class has too few members, or groups, for so many folds.
    """
    rows = np.arange(len(index))
    if params.items == "trainval":
        rows = rows[index["split"].isin(["train", "val"]).to_numpy()]
    labels, groups = index["label"].iloc[rows], groups_together(index.iloc[rows], alike)
    _refuse_small_classes(labels, groups, params, task)
    strata = _strata(labels, task, folds=params.folds)
    folds = []
    for repeat in range(1, params.repeats + 1):
        splits = _split(strata, groups, params.folds, derive(params.seed, "folds", repeat))
        for number, (rest, held) in enumerate(splits, start=1):
            seed = derive(params.seed, "val", repeat, number)
            train, val = _carve(strata[rest], groups[rest], params.val_frac, seed)
            part = Rows(np.sort(rows[rest[train]]), np.sort(rows[rest[val]]))
            folds.append(Fold(repeat, number, part, np.sort(rows[held])))
    if task == "classification":
        _refuse_missing_classes(index["label"], folds, params)
    return folds


def _strata(labels: pd.Series, task: Task, *, folds: int) -> np.ndarray:
    """Number the classes, or ranges of values that have two items and more for each fold."""
    if task == "classification":
        return pd.factorize(labels, sort=True)[0].astype(np.int64)
    ranks = labels.astype(np.float64).rank(method="first").to_numpy() - 1
    count = min(_STRATA, max(1, len(ranks) // (2 * folds)))
    return np.floor(ranks * count / len(ranks)).astype(np.int64)


def groups_together(index: pd.DataFrame, alike: pd.DataFrame | None) -> np.ndarray:
    """Number what goes together: groups, an item without one by itself, and what looks alike."""
    groups = pd.factorize(group_names(index))[0].astype(np.int64)
    if alike is None:
        return groups
    from scipy.sparse import coo_array  # slow to import, all
    from scipy.sparse.csgraph import connected_components

    group_of = pd.Series(groups, index=index["path"])
    ends = [alike[name].map(group_of) for name in ("path_a", "path_b")]
    a, b = (end[ends[0].notna() & ends[1].notna()].to_numpy(np.int64) for end in ends)
    number = int(groups.max(initial=-1)) + 1
    joined = coo_array((np.ones(len(a), dtype=np.int8), (a, b)), shape=(number, number))
    _, together = connected_components(joined, directed=False)
    return np.asarray(together[groups], dtype=np.int64)


def _carve(
    strata: np.ndarray, groups: np.ndarray, val_frac: float, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return (train, val) as positions, both with as many of the strata as can be had."""
    share = _share(val_frac, most=int(pd.Series(groups).groupby(strata).nunique().max()))
    parts = [part for _, part in _split(strata, groups, share.denominator, seed)]
    ways = []
    for start in range(len(parts)):
        turned = parts[start:] + parts[:start]
        val, train = turned[: share.numerator], turned[share.numerator :]
        ways.append((np.concatenate(train), np.concatenate(val)))
    return max(ways, key=lambda way: tuple(len(np.unique(strata[part])) for part in way))


def _share(val_frac: float, *, most: int) -> Fraction:
    """Return the nearest fraction whose denominator is small, and at most `most`; never 0 or 1."""
    if val_frac < 1 / _MOST_PARTS:
        return Fraction(1, min(round(1 / val_frac), max(2, most)))
    near = Fraction(val_frac).limit_denominator(min(_MOST_PARTS, max(2, most)))
    return near or Fraction(1, max(2, most))


def _refuse_small_classes(
    labels: pd.Series, groups: np.ndarray, params: CrossvalParams, task: Task
) -> None:
    if task == "regression":
        _refuse_few("the items", len(np.unique(groups)), params)
        return
    for name in sorted(labels.unique()):
        members = len(np.unique(groups[(labels == name).to_numpy()]))
        _refuse_few(f"class {name!r}", members, params)


def _refuse_few(what: str, members: int, params: CrossvalParams) -> None:
    if members <= params.folds:
        _refuse(f"must be below {members}, the members (or groups) of {what}", params)
    if members < _FEWEST:
        _refuse(f"needs {_FEWEST} members (or groups) of {what}, where there are {members}", params)


def _refuse_missing_classes(labels: pd.Series, folds: list[Fold], params: CrossvalParams) -> None:
    """Refuse groups so large that no way of dealing gives every fold all classes to train on."""
    wanted = set(labels.iloc[np.concatenate([each.held_out for each in folds])])
    for each in folds:
        missing = sorted(wanted - set(labels.iloc[each.rows.train]))
        if missing:
            _refuse(
                f"must leave class {missing[0]!r} in the training part of {each.name}, which "
                "groups prevent",
                params,
            )


def _refuse(rule: str, params: CrossvalParams) -> None:
    raise ParamsError(
        "params.yaml",
        f"{rule}, so that every fold has some to hold out, to validate on and to train on",
        field=f"{params.section}.folds",
        got=params.folds,
        remedy="lower it, or label more items",
    )


def _split(
    strata: np.ndarray, groups: np.ndarray, folds: int, seed: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield (rest, part) for each fold, as positions."""
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold  # slow to import

    state = seed % 2**32
    places = np.zeros(len(strata))
    with warnings.catch_warnings():
        # a class with fewer members than folds: told for `folds` itself, fine for validation
        warnings.simplefilter("ignore", UserWarning)
        if len(np.unique(groups)) == len(groups):
            plain = StratifiedKFold(folds, shuffle=True, random_state=state)
            yield from plain.split(places, strata)
        else:
            grouped = StratifiedGroupKFold(folds, shuffle=True, random_state=state)
            yield from grouped.split(places, strata, groups)
