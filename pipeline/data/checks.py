"""Is a picture fit to learn from, and is what remains enough to learn from?"""

import pandas as pd

from pipeline.data.badlist import remove_bad_items, write_bad_items
from pipeline.data.manifest import DROPPED, KEPT, QUARANTINED, SPLITS
from pipeline.errors import DataError


def size_fault(
    width: int, height: int, *, min_side_px: int, max_aspect: float
) -> tuple[str, str] | None:
    """Give the reason code and detail of a size that is refused, or None."""
    shorter, longer = sorted((width, height))
    if shorter < min_side_px:
        return "too_small", f"{width} x {height} pixels, a side under {min_side_px}"
    if longer > max_aspect * shorter:
        return "aspect", f"{width} x {height} pixels, sides over {max_aspect:g} : 1"
    return None


def refuse_too_many_bad(table: pd.DataFrame, max_bad_frac: float, *, where: str) -> None:
    """Stop where so many items are quarantined that something general must be wrong.

    All of them are then listed in `badlist.BAD_ITEMS`.

    Args:
        table: Columns path, status, reason, detail, sorted by path.
        max_bad_frac: Largest share of quarantined items, 0..1, of all items.
        where: The data folder.

    Raises:
        DataError: The share is larger; the reasons are counted, each with its first item.
    """
    bad = table[table["status"] == QUARANTINED]
    if len(bad) <= max_bad_frac * len(table):
        remove_bad_items()
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
        remedy=f"all are listed in {write_bad_items(bad)}; mend or remove them, or raise "
        "clean.max_bad_frac",
    )


def refuse_unusable(table: pd.DataFrame, *, is_classification: bool, where: str) -> None:
    """Stop where what is kept cannot be learned from.

    Args:
        table: Columns label, split, status, reason; split is set for kept rows.
        is_classification: Whether labels are class names.
        where: The data folder.

    Raises:
        DataError: Nothing is kept, a class has no item at all or none in train, there is one class
            alone, or a split is empty.
    """
    is_kept = table["status"] == KEPT
    kept = table[is_kept]
    if kept.empty:
        raise DataError(where, f"none of {len(table)} items is kept", remedy="see the log above")
    if is_classification:
        _refuse_lost_classes(table[~is_kept], kept, where)
    for split in SPLITS:
        if not (kept["split"] == split).any():
            raise DataError(
                where,
                f"the split {split!r} is empty; {len(kept)} items are kept in all",
                remedy="add items, or change split.seed or the fractions; with a given split, "
                "assign some",
            )
    if is_classification:
        _refuse_untrained_classes(kept, where)


def _refuse_lost_classes(lost: pd.DataFrame, kept: pd.DataFrame, where: str) -> None:
    by_person = (lost["status"] == DROPPED) & (lost["reason"] == "review")
    wanted = lost[~by_person & lost["label"].notna()]
    empty = sorted(set(wanted["label"]) - set(kept["label"]))
    if empty:
        rows = wanted[wanted["label"] == empty[0]]
        reasons = ", ".join(f"{reason} {n}" for reason, n in rows["reason"].value_counts().items())
        raise DataError(
            where,
            f"the class {empty[0]!r} has lost all its {len(rows)} items: {reasons}",
            remedy="mend them, or drop the class by review",
        )
    if len(set(kept["label"])) == 1:
        raise DataError(
            where,
            f"there must be two classes or more, and all items are {kept['label'].iloc[0]!r}",
            remedy="are labels.csv or the class folders where data.labels says?",
        )


def _refuse_untrained_classes(kept: pd.DataFrame, where: str) -> None:
    trained = set(kept["label"][kept["split"] == "train"])
    for label, n in kept["label"].value_counts().sort_index().items():
        if label not in trained:
            raise DataError(
                where,
                f"the class {label!r} has {n} items, none of them in train",
                remedy="add items of it, or change split.seed; with a given split, assign some to "
                "train",
            )
