"""Folds of a cross-validation: which items train, choose the epoch, and are held out.

Axes: N = rows of the store.
"""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from pydantic import Field
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

from pipeline.errors import ParamsError
from pipeline.params import Section, Task
from pipeline.seeds import derive
from pipeline.train.trainer import Rows

_STRATA = 10
"""Regression is balanced over this many ranges of the target, of equal size."""


class CrossvalParams(Section):
    """`crossval`: how items are dealt out to folds."""

    folds: int = Field(ge=2, le=1000)
    """Each item is held out by one of them."""

    repeats: int = Field(ge=1, le=1000)
    """Times that the items are dealt out anew."""

    items: Literal["trainval", "all"]
    """`trainval` leaves the test split alone; `all` is for comparison with published figures."""

    val_frac: float = Field(gt=0.0, le=0.5)
    """Share of a fold's training part that chooses the epoch and fits the temperature."""

    seed: int = Field(ge=0, lt=2**63)
    """Another seed deals anew."""


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


def deal(index: pd.DataFrame, params: CrossvalParams, *, task: Task) -> list[Fold]:
    """Deal items out, whole groups at a time, balanced over the classes.

    Within a repeat every item is held out once. A fold's validation part is carved out of its
    training part in the same way.

    Args:
        index: The store's rows: label, split, group, path.
        params: How.
        task: What labels are.

    Raises:
        ParamsError: A class has fewer members, or groups, than there are folds, and one more.
    """
    rows = np.arange(len(index))
    if params.items == "trainval":
        rows = rows[index["split"].isin(["train", "val"]).to_numpy()]
    strata = _strata(index["label"].iloc[rows], task)
    groups = _groups(index.iloc[rows])
    _refuse_small_classes(index["label"].iloc[rows], groups, params, task)
    folds = []
    for repeat in range(1, params.repeats + 1):
        splits = _split(strata, groups, params.folds, derive(params.seed, "folds", repeat))
        for number, (rest, held) in enumerate(splits, start=1):
            seed = derive(params.seed, "val", repeat, number)
            wanted = round(1 / params.val_frac)
            most = max(2, min(wanted, _smallest(strata[rest], groups[rest])))
            train, val = next(_split(strata[rest], groups[rest], most, seed))
            part = Rows(np.sort(rows[rest[train]]), np.sort(rows[rest[val]]))
            folds.append(Fold(repeat, number, part, np.sort(rows[held])))
    return folds


def _strata(labels: pd.Series, task: Task) -> np.ndarray:
    if task == "classification":
        return pd.factorize(labels, sort=True)[0].astype(np.int64)
    ranks = labels.astype(np.float64).rank(method="first").to_numpy() - 1
    return np.floor(ranks * _STRATA / len(ranks)).astype(np.int64)


def _groups(index: pd.DataFrame) -> np.ndarray:
    """Number the groups; an item without one is its own."""
    alone = "item\0" + index["path"]
    return pd.factorize(index["group"].where(index["group"].notna(), alone))[0].astype(np.int64)


def _smallest(strata: np.ndarray, groups: np.ndarray) -> int:
    """Give the number of groups of the class that has fewest."""
    return int(pd.Series(groups).groupby(strata).nunique().min())


def _refuse_small_classes(
    labels: pd.Series, groups: np.ndarray, params: CrossvalParams, task: Task
) -> None:
    if task == "regression":
        if len(np.unique(groups)) <= params.folds:
            _refuse("the items", len(np.unique(groups)), params)
        return
    for name in sorted(labels.unique()):
        members = len(np.unique(groups[(labels == name).to_numpy()]))
        if members <= params.folds:
            _refuse(f"class {name!r}", members, params)


def _refuse(what: str, members: int, params: CrossvalParams) -> None:
    raise ParamsError(
        "params.yaml",
        f"must be below {members}, the members (or groups) of {what}, so that every fold has some "
        "to hold out, to validate on and to train on",
        field="crossval.folds",
        got=params.folds,
        remedy="lower it, or label more items",
    )


def _split(
    strata: np.ndarray, groups: np.ndarray, folds: int, seed: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Give (rest, part) for each fold, as positions."""
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
