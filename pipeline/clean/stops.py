"""Is too much bad, and is what remains enough to learn from? Else the stage stops."""

from pathlib import Path

import pandas as pd

from pipeline.ground.errors import DataError
from pipeline.ground.files import write_rows
from pipeline.manifest.manifest import DROPPED, KEPT, QUARANTINED, SPLITS
from pipeline.raw.visible import safe_cell

BAD_ITEMS = Path(".rootstock") / "proofs" / "bad_items.csv"
"""Relative to the repository; it is there if, and only if, the last cleaning stopped for it."""

_COLUMNS = ("path", "reason", "detail")


def refuse_too_many_bad(table: pd.DataFrame, max_bad_frac: float, *, where: str) -> None:
    """Stop where so many items are quarantined that something general must be wrong.

    All of them are then listed in `BAD_ITEMS`.

    Args:
        table: Columns path, status, reason, detail, sorted by path.
        max_bad_frac: Largest share of quarantined items, 0..1, of all items.
        where: The data folder.

    Raises:
        DataError: The share is larger; the reasons are counted, each with its first item.
    """
    bad = table[table["status"] == QUARANTINED]
    if len(bad) <= max_bad_frac * len(table):
        BAD_ITEMS.unlink(missing_ok=True)
        return
    counts = bad["reason"].value_counts().sort_index().sort_values(ascending=False, kind="stable")
    named = ", ".join(
        f"{reason} {n} (first: {bad['path'][bad['reason'] == reason].iloc[0]})"
        for reason, n in counts.items()
    )
    raise DataError(
        where,
        f"{len(bad)} of {len(table)} items are bad: {named}; clean.max_bad_frac allows a share of "
        f"{max_bad_frac:g}, got {len(bad) / len(table):.3g}",
        remedy=f"all are listed in {_write_bad_items(bad)}; mend or remove them, or raise "
        "clean.max_bad_frac",
    )


def _write_bad_items(bad: pd.DataFrame) -> Path:
    """Write one row for each bad item, and return the file.

    Args:
        bad: Columns path, reason, detail.
    """
    cells = bad[list(_COLUMNS)].itertuples(index=False)
    rows = [dict(zip(_COLUMNS, map(safe_cell, row), strict=True)) for row in cells]
    write_rows(BAD_ITEMS, rows, columns=_COLUMNS)
    return BAD_ITEMS


def refuse_unusable(
    table: pd.DataFrame, *, is_classification: bool, is_given: bool, where: str
) -> None:
    """Stop where what is kept cannot be learned from.

    Args:
        table: Columns label, split, given, status, reason; split is set for kept rows.
        is_classification: Whether labels are class names.
        is_given: Whether the user gave splits.
        where: The data folder.

    Raises:
        DataError: Nothing is kept, a class has no item at all or none in train, there is one class
            alone, or a split is empty.
    """
    is_kept = table["status"] == KEPT
    kept, lost = table[is_kept], table[~is_kept]
    if kept.empty:
        raise DataError(where, f"none of {len(table)} items is kept", remedy="see the log above")
    if is_classification:
        _refuse_lost_classes(lost, kept, where)
    for split in SPLITS:
        if not (kept["split"] == split).any():
            mine = lost[lost["given"] == split]
            told = f"; what was given to it is lost: {_reasons(mine)}"
            raise DataError(
                where,
                f"the split {split!r} is empty; {len(kept)} items are kept in all"
                + (told if len(mine) else ""),
                remedy=_EMPTY_SPLIT[is_given] + _by_groups(kept, is_given=is_given),
            )
    if is_classification:
        _refuse_untrained_classes(kept, is_given=is_given, where=where)


_EMPTY_SPLIT = {
    False: "add items, or change split.seed, or split.train, split.val and split.test",
    True: "give it items that can be kept; without any that is given, split.missing: carve makes "
    "it out of train",
}
_UNTRAINED = {
    False: "set split.small_classes to train or drop, or add items",
    True: "give some of its items the split train, or set split.small_classes to drop",
}
"""What helps, by whether the splits are given."""


def _by_groups(kept: pd.DataFrame, *, is_given: bool) -> str:
    """Return what else helps where groups, which are never divided, may leave a split empty."""
    if is_given or "group" not in kept or kept["group"].isna().all():
        return ""
    groups = kept["group"].dropna()
    n = groups.nunique()
    return (
        f"; no seed helps where a group holds nearly all items, or all of a class: {len(groups)} "
        f"items are in {n} {'group' if n == 1 else 'groups'}, which are never divided: leave empty "
        "the cells of the column 'group' that name no one thing"
    )


def _reasons(rows: pd.DataFrame) -> str:
    return ", ".join(f"{reason} {n}" for reason, n in rows["reason"].value_counts().items())


def _refuse_lost_classes(lost: pd.DataFrame, kept: pd.DataFrame, where: str) -> None:
    is_dropped = lost["status"] == DROPPED
    wanted = lost[~(is_dropped & (lost["reason"] == "review")) & lost["label"].notna()]
    left_out = set(lost["label"][is_dropped & (lost["reason"] == "untrained")])
    empty = sorted(set(wanted["label"]) - set(kept["label"]) - left_out)
    if empty:
        rows = wanted[wanted["label"] == empty[0]]
        raise DataError(
            where,
            f"the class {empty[0]!r} has lost all its {len(rows)} items: {_reasons(rows)}"
            + _others(empty),
            remedy="mend them, or drop the class by review",
        )
    if len(set(kept["label"])) == 1:
        raise DataError(
            where,
            f"there must be two classes or more, and all items are {kept['label'].iloc[0]!r}",
            remedy="are labels.csv or the class folders where data.labels says?",
        )


def _refuse_untrained_classes(kept: pd.DataFrame, *, is_given: bool, where: str) -> None:
    counts = kept["label"].value_counts()
    untrained = sorted(set(counts.index) - set(kept["label"][kept["split"] == "train"]))
    if untrained:
        first = untrained[0]
        raise DataError(
            where,
            f"the class {first!r} has {counts[first]} items, none of them in train"
            + _others(untrained),
            remedy=_UNTRAINED[is_given],
        )


def _others(names: list[str]) -> str:
    return f"; {len(names)} classes are so" if len(names) > 1 else ""
