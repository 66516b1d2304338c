"""What the report says of near-duplicates."""

from typing import Any

import pandas as pd

from pipeline.data.near_duplicates import NearDuplicates, NearRule
from pipeline.data.split import count_splits
from pipeline.params import Task

_DETAILED = 200
"""Pairs with two labels that are named one by one; the table of pairs has them all."""


def near_section(near: NearDuplicates, rule: NearRule, task: Task) -> dict[str, Any]:
    """Give the section `near_duplicates` of the report, in JSON's types."""
    pairs = near.pairs
    is_across = pairs["split_a"] != pairs["split_b"]
    conflicts = _conflicts(near, task)
    return {
        "policy": rule.policy,
        "correlation": rule.correlation,
        "turns": rule.turns,
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
        "pairs_with_two_labels": len(conflicts),
        "two_labels": conflicts[:_DETAILED],
    }


def near_warnings(near: NearDuplicates, task: Task) -> list[str]:
    """Tell what a person should look at."""
    warnings = []
    if near.leaks_left:
        warnings.append(
            f"{near.leaks_left} pairs of near-duplicates stand in two splits, and both stay; "
            f"first: {_named(_records(near.leaks)[0])}"
        )
    if conflicts := _conflicts(near, task):
        first = conflicts[0]
        warnings.append(
            f"{len(conflicts)} {'pair' if len(conflicts) == 1 else 'pairs'} of near-duplicates "
            f"with two labels; first: {_named(first)}, "
            f"{first['label_a']!r} and {first['label_b']!r}"
        )
    if near.crowded:
        warnings.append(
            f"{near.crowded} pictures resemble so many others that only the nearest were compared; "
            "raise clean.near_correlation, or give a group to pictures that belong together"
        )
    return warnings


def _conflicts(near: NearDuplicates, task: Task) -> list[dict[str, Any]]:
    """Give pairs with two class names; two numbers may well differ a little."""
    if task == "regression":
        return []
    pairs = near.pairs[near.pairs["label_a"] != near.pairs["label_b"]]
    return _records(pairs.drop(columns=["turn", "dropped"]))


def _named(pair: dict[str, Any]) -> str:
    return f"{pair['path_a']} in {pair['split_a']} and {pair['path_b']} in {pair['split_b']}"


def _records(pairs: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(name): value for name, value in row.items()} for row in pairs.to_dict("records")]
