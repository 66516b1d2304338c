"""What is said of near-duplicates: in the report, and where they would take too much."""

from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.clean.near import PAIR_COLUMNS, NearDuplicates, NearRule
from pipeline.ground.errors import DataError
from pipeline.ground.files import write_rows
from pipeline.manifest.split import count_splits
from pipeline.raw.visible import safe_cell

PROOF = Path(".rootstock") / "proofs" / "near_duplicates.csv"
"""Outside the outputs of a stage, since DVC keeps none of a stage that failed."""

_FEW = 5
"""So few items are never too much of a split or a class, unless they are all of it."""

_DETAILED = 200
"""Pairs with two labels that are named one by one; the table of pairs has them all."""


def near_section(near: NearDuplicates, rule: NearRule) -> dict[str, Any]:
    """Return the section `near_duplicates` of the report, in JSON's types."""
    pairs = near.pairs
    is_across = pairs["split_a"] != pairs["split_b"]
    doubtful = _told(near.doubtful)
    return {
        "policy": rule.policy,
        "correlation": rule.correlation,
        **rule.search,
        "compared": near.compared,
        "low_contrast": near.flat,
        "crowded": near.crowded,
        "pairs": len(pairs),
        "pairs_across_splits": int(is_across.sum()),
        "pairs_inside_splits": count_splits(pairs["split_a"][~is_across]),
        "clusters": len(near.cluster_sizes),
        "clusters_across_splits": near.clusters_across,
        "largest_cluster": int(near.cluster_sizes.max(initial=0)),
        "dropped": {
            split: sum(each.split == split for each in near.dropped)
            for split in count_splits(pairs["split_a"])
        },
        "kept_by_review": [each.path for each in near.wanted],
        "leaks_left": near.leaks_left,
        "pairs_with_two_labels": len(doubtful),
        "two_labels": doubtful[:_DETAILED],
    }


def near_warnings(near: NearDuplicates) -> list[str]:
    """Return what a person should look at."""
    warnings = []
    if near.leaks_left:
        warnings.append(
            f"{near.leaks_left} pairs of near-duplicates are in two splits, and both are kept; "
            f"first: {_named(_told(near.leaks)[0])}"
        )
    if len(near.doubtful):
        first, number = _told(near.doubtful)[0], len(near.doubtful)
        across = int((near.doubtful["split_a"] != near.doubtful["split_b"]).sum())
        warnings.append(
            f"{number} {'pair' if number == 1 else 'pairs'} of near-duplicates "
            f"with two labels; first: {_named(first)}, "
            f"{first['label_a']!r} and {first['label_b']!r}"
            + (f"; {across} in two splits, where both stay" if across else "")
        )
    if near.crowded:
        warnings.append(
            f"{near.crowded} items resemble so many others that only the nearest were compared; "
            "raise clean.near_correlation, or give a group to items that belong together"
        )
    return warnings


def refuse_many_near(
    table: pd.DataFrame, near: NearDuplicates, rule: NearRule, most: float, *, where: str
) -> None:
    """Stop where near-duplicates would take so much that they are hardly copies.

    All pairs are then written to `PROOF`; else what an older run wrote is removed.

    Args:
        table: Columns split, label: what is kept, before near-duplicates are dropped.
        near: What was found there.
        rule: By which.
        most: Largest share, 0..1, of a split or class.
        where: The data folder.

    Raises:
        DataError: The share of a split, or of a class, is larger.
    """
    gone = table.loc[[each.row for each in near.dropped]]
    names = ["split"] if rule.task == "regression" else ["split", "label"]
    taken = [
        (what, value, int(n), int((table[what] == value).sum()))
        for what in names
        for value, n in gone[what].value_counts().sort_index().items()
    ]
    many = [
        (n / all_, f"{n} of {all_} items of the {_KINDS[what]} {value!r} ({n / all_:.0%})")
        for what, value, n, all_ in taken
        if n > most * all_ and (n >= _FEW or n == all_)
    ]
    if not many:
        PROOF.unlink(missing_ok=True)
        return
    rows = near.pairs.to_dict("records")
    told = [{str(name): safe_cell(value) for name, value in row.items()} for row in rows]
    write_rows(PROOF, told, columns=PAIR_COLUMNS)
    worst = max(many, key=lambda each: each[0])[1]
    raise DataError(
        where,
        f"near-duplicates of items in other splits would take {worst}; {len(many)} splits and "
        f"classes would lose more than clean.max_near_frac allows, which is {most:g}",
        remedy=f"look at the pairs in {PROOF}; if they are different items that look alike "
        f"({rule.reader.resembling}), set clean.near_duplicates to report, or raise "
        f"clean.near_correlation above {rule.correlation:g}; if they are copies "
        f"({rule.reader.repeated}), give them one group in a labels.csv, or raise "
        "clean.max_near_frac",
    )


_KINDS = {"split": "split", "label": "class"}


def _named(pair: dict[str, Any]) -> str:
    return f"{pair['path_a']} in {pair['split_a']} and {pair['path_b']} in {pair['split_b']}"


def _told(pairs: pd.DataFrame) -> list[dict[str, Any]]:
    rows = pairs.drop(columns=["turn", "dropped"]).to_dict("records")
    return [{str(name): value for name, value in row.items()} for row in rows]
