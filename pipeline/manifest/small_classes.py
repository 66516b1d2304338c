"""Classes with no item in train: what happens to them, and what that changes.

An item's split is its own hash, which leaves a class of n items out of train with a chance of
(1 - split.train)^n. Such a class cannot be learned. By `split.small_classes`:

    train    the one of its items (with its group) that lies nearest to train goes there
    drop     the class is left out, until one of its items falls in train by itself
    refuse   the stage stops

A class that has an item in train keeps all its items where their hash puts them, whatever its size,
and no class acts on another. `train` has a price: when a class grows and gets an item of its own in
train, the one that was put there falls back to its own split. A file of `pins` prevents it: an item
that stands there has the split it says.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from pipeline.ground.errors import DataError
from pipeline.manifest.manifest import KEPT
from pipeline.manifest.params import SplitParams
from pipeline.manifest.pins import Pin
from pipeline.manifest.split import NOT_GIVEN, Dealing, hash_number

_NAMED = 3


@dataclass(frozen=True)
class Placed:
    """What became of the classes that have no item in train."""

    splits: pd.Series
    """Of every row that is kept, whether or not it was changed."""

    moved: Sequence[Mapping[str, Any]]
    """Items whose split is not their own: path, id, label, split, own, pinned; sorted by path."""

    dropped: Sequence[Any]
    """Rows of classes that left out, by index."""

    warnings: Sequence[str]


def place_small_classes(
    table: pd.DataFrame,
    params: SplitParams,
    dealing: Dealing,
    pins: Mapping[str, Pin],
    *,
    is_classification: bool,
) -> Placed:
    """Place what is pinned, then see to the classes with no item in train.

    Args:
        table: All rows: path, id, label, status, split (as dealt), given (or missing), group (or
            missing), content_hash. Those that are not kept count for pins alone: one may be pinned,
            and a copy of it kept.
        params: What to do.
        dealing: As the splits were dealt; a given split is never changed.
        pins: By id.
        is_classification: Else there are no classes, and pins alone count.

    Raises:
        DataError: Two pins tear a group apart.
    """
    rows = table.assign(
        unit=table["content_hash"].where(table["group"].isna(), "group\0" + table["group"]),
        among=table["given"].fillna(NOT_GIVEN).map(lambda each: dealing.get(each, ())),
    )
    pinned, idle = _pinned(rows[rows["unit"].notna()], pins)
    rows = rows[rows["status"] == KEPT]
    splits = rows["split"].where(~rows["unit"].isin(pinned), rows["unit"].map(pinned))
    untrained = set(rows["label"]) - set(rows["label"][splits == "train"])
    lacking = rows[rows["label"].isin(untrained)] if is_classification else rows[:0]
    dropped: list[Any] = []
    warnings = _tell_idle(idle, pins)
    if len(lacking) and params.small_classes == "drop":
        dropped = list(lacking.index)
        warnings.append(
            f"{_classes(lacking['label'])} no item whose own split is train, left out with "
            f"all {len(lacking)} items (split.small_classes: drop)"
        )
    nearest = _nearest(rows, set(lacking["label"]), params)
    if len(nearest) and params.small_classes == "train":
        splits = splits.mask(rows["unit"].isin(nearest["unit"]), "train")
        warnings.append(
            f"{_classes(nearest['label'])} no item whose own split is train: one of each is put "
            "there (split.small_classes: train); `rootstock data pin` writes it down, so that it "
            "stays there when its class grows"
        )
    return Placed(splits, _moved(rows, splits, pinned), dropped, warnings)


def _tell_idle(idle: Sequence[str], pins: Mapping[str, Pin]) -> list[str]:
    if not idle:
        return []
    pin = pins[idle[0]]
    return [
        f"{pin.where}: the split {pin.split} is not one that this item can be dealt to, since it "
        f"has a given one; {len(idle)} rows have no effect"
    ]


def _pinned(rows: pd.DataFrame, pins: Mapping[str, Pin]) -> tuple[dict[str, str], list[str]]:
    """Return the split of each pinned unit, and ids whose pin cannot hold."""
    found: dict[str, Pin] = {}
    idle = []
    for each, unit, among in rows[rows["id"].isin(pins)][["id", "unit", "among"]].itertuples(
        index=False
    ):
        pin = pins[each]
        if pin.split not in among:
            idle.append(each)
        elif found.setdefault(unit, pin).split != pin.split:
            raise DataError(
                pin.where,
                f"must not tear apart a group that {found[unit].where} puts in {found[unit].split}",
                field="column 'split'",
                got=pin.split,
                remedy="give both the same split",
            )
    return {unit: pin.split for unit, pin in found.items()}, idle


def _nearest(rows: pd.DataFrame, untrained: set[str], params: SplitParams) -> pd.DataFrame:
    """Return, of each untrained class, a row of the unit that goes to train.

    It is the one with the smallest hash; a group that holds other classes too comes last, since
    their items would go along.
    """
    is_free = np.array(["train" in each for each in rows["among"]], dtype=bool)
    free = rows[rows["label"].isin(untrained) & is_free]
    classes = rows[rows["unit"].isin(free["unit"])].groupby("unit")["label"].nunique()
    keys = [
        hash_number(content, None if pd.isna(group) else group, params.seed)
        for content, group in zip(free["content_hash"], free["group"], strict=True)
    ]
    order = free.assign(mixed=free["unit"].map(classes) > 1, key=keys)
    return order.sort_values(["mixed", "key", "unit"]).drop_duplicates("label")


def _moved(
    rows: pd.DataFrame, splits: pd.Series, pinned: Mapping[str, str]
) -> list[dict[str, Any]]:
    changed = rows.assign(now=splits)[splits != rows["split"]].sort_values("path")
    return [
        {
            "path": row.path,
            "id": row.id,
            "label": row.label,
            "split": row.now,
            "own": row.split,
            "pinned": row.unit in pinned,
        }
        for row in changed.itertuples()
    ]


def _classes(labels: pd.Series) -> str:
    names = sorted(set(labels))
    named = ", ".join(map(repr, names[:_NAMED])) + (", ..." if len(names) > _NAMED else "")
    one = len(names) == 1
    return f"{len(names)} {'class' if one else 'classes'} ({named}) {'has' if one else 'have'}"
