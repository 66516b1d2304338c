"""Labels and splits as `clean` will judge them, as far as can be told with all files closed."""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

import pandas as pd

from pipeline.data.clean import CleanParams, Rules
from pipeline.data.item import Item, RawItems
from pipeline.data.labels import check_labels
from pipeline.data.manifest import SPLITS
from pipeline.data.split import SplitParams, refuse_crossing_groups
from pipeline.doctor.findings import Finding, warn
from pipeline.errors import DataError, ParamsError

_FILLING = ("ffill", "bfill", "most_frequent", "mean", "median")
"""Of `clean.missing_label`: those that keep an item without a label."""

_CHANCE = 0.01
"""A warning tells of what happens more often than that."""

_SHOWN = 8
"""Classes or warnings that are named."""


def judge_labels(
    raw: Path, found: RawItems, rules: Rules, *, batch_size: int | Literal["full"]
) -> Iterator[Finding]:
    """Check labels, groups and splits.

    Raises:
        DataError: `clean` would refuse them.
        ParamsError: A batch is larger than train can be.
    """
    usable = [each for each in found.items if each.reason is None]
    rows = [{"label": each.label, "where": each.where} for each in usable]
    labels, twins = check_labels(pd.DataFrame(rows, columns=["label", "where"]), rules.task)
    yield from (warn(raw, each) for each in twins[:_SHOWN])
    labeled = [each for each in usable if each.label is not None]
    if rules.clean.missing_label == "error" and len(labeled) < len(usable):
        first = next(each.path for each in usable if each.label is None)
        yield warn(raw, f"{len(usable) - len(labeled)} items have no label, at which `clean` "
                   f"stops; first: {first!r}",
                   "label them, or choose another clean.missing_label")  # fmt: skip
    if rules.task == "classification":
        yield from _classes(raw, labeled, rules.split)
    elif labels.nunique() < 2:
        raise DataError(raw, "labels must not all be the same number", got=labels.nunique())
    is_filled = rules.clean.missing_label in _FILLING
    kept = [each for each in usable
            if each.label is not None or (is_filled and each.row is not None)]  # fmt: skip
    yield from _splits(raw, kept, rules.split, batch_size)
    _refuse_many_bad(raw, found, len(usable) - len(labeled), rules.clean)


def some(names: Sequence[str]) -> str:
    """Give the first names, and how many more there are."""
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _refuse_many_bad(raw: Path, found: RawItems, unlabeled: int, clean: CleanParams) -> None:
    """Refuse what `clean` will, by what it quarantines without looking into the files."""
    reasons = Counter(each.reason for each in found.items if each.reason is not None)
    if clean.missing_label == "quarantine":
        reasons["no_label"] += unlabeled
    bad, items = reasons.total(), len(found.items)
    if bad > clean.max_bad_frac * items:
        named = ", ".join(f"{reason} {n}" for reason, n in sorted(reasons.items()) if n)
        raise DataError(
            raw, f"{bad} of {items} items are bad: {named}; clean.max_bad_frac allows a share of "
            f"{clean.max_bad_frac:g}, got {bad / items:.3g}",
            remedy="mend or remove them, or raise clean.max_bad_frac",
        )  # fmt: skip


def _classes(raw: Path, labeled: Sequence[Item], split: SplitParams) -> Iterator[Finding]:
    counts = Counter(str(each.label) for each in labeled)
    if len(counts) < 2:
        raise DataError(
            raw, f"there must be two classes or more, and there are {sorted(counts)}",
            remedy="are labels.csv or the class folders where data.labels says?",
        )  # fmt: skip
    given = Counter(str(each.label) for each in labeled if each.split == "train")
    if given:
        untrained = sorted(set(counts) - set(given))
        if untrained:
            raise DataError(
                raw, f"the class {untrained[0]!r} has {counts[untrained[0]]} items, none of them "
                "in train", remedy="give it some, or leave the class out",
            )  # fmt: skip
        return
    few = [name for name, n in sorted(counts.items()) if (1 - split.train) ** n > _CHANCE]
    if few:
        named = some([f"{name!r} {counts[name]}" for name in few])
        yield warn(raw, f"{len(few)} classes have so few items that train may get none, at which "
                   f"`clean` stops: {named}", "add items, or leave these classes out")  # fmt: skip


def _splits(
    raw: Path, kept: Sequence[Item], split: SplitParams, batch_size: int | Literal["full"]
) -> Iterator[Finding]:
    given = Counter(each.split for each in kept if each.split is not None)
    shares = {name: getattr(split, name) for name in SPLITS}
    if given:
        empty = [name for name in SPLITS if not given[name]]
        if empty:
            raise DataError(raw, f"the split {empty[0]!r} is empty", remedy="assign it some items")
        refuse_crossing_groups(pd.DataFrame(
            [(each.path, each.split, each.group) for each in kept],
            columns=["path", "split", "group"],
        ))  # fmt: skip
        in_train, limit = float(given["train"]), given["train"]
    else:
        small = [name for name in SPLITS if (1 - shares[name]) ** len(kept) > _CHANCE]
        if small:
            yield warn(raw, f"{len(kept)} items are so few that {small[0]} may get none",
                       "add items, or give the splits in the label file")  # fmt: skip
        in_train, limit = len(kept) * shares["train"], len(kept)
    if batch_size == "full":
        return
    if batch_size > limit:
        raise ParamsError(
            "params.yaml", f"must be at most the items of train, of {limit} in all",
            field="train.batch_size", got=batch_size, remedy="lower it, or set it to `full`",
        )  # fmt: skip
    if batch_size > in_train:
        yield warn(
            "params.yaml", f"train.batch_size: {batch_size} may be more than the items of train, "
            f"about {in_train:.0f}", "lower it, or set it to `full`",
        )  # fmt: skip
