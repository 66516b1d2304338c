"""Clusters across splits lose their less protected members; clusters within one are only told."""

import numpy as np
import pandas as pd
import pytest

from pipeline.clean.near import PAIR_COLUMNS, find_near_duplicates
from pipeline.clean.near_report import near_section, near_warnings
from tests.support.near import near_rule
from tests.support.scenes import brightness, scene, small

RULE = near_rule("drop", correlation=0.997, turns=False, task="classification")


def table(*rows):
    """Make rows from (path, split, seed of the picture, brightness), label x."""
    return pd.DataFrame(
        [
            {
                "path": path,
                "split": split,
                "label": "x",
                "sketch": small(brightness(factor)(scene(seed))).tobytes(),
            }
            for path, split, seed, factor in rows
        ]
    )


def find(rows, *, rule=RULE, wanted=()):
    """Search rows and one more in train, which no other resembles: the class is always trained."""
    rows = pd.concat([rows, table(("~", "train", 99, 1.0)).set_axis([-1])])
    return find_near_duplicates(rows, rule, rows["path"].isin(wanted))


def dropped(near):
    return {each.path: each.detail.split(" ", 1)[1] for each in near.dropped}


def test_what_is_more_protected_stays():
    rows = table(
        ("a", "train", 1, 1.0),
        ("b", "val", 1, 0.9),
        ("c", "test", 1, 0.8),
        ("d", "train", 2, 1.0),
        ("e", "val", 2, 0.9),
        ("f", "train", 3, 1.0),
        ("g", "train", 3, 0.9),
        ("h", "test", 4, 1.0),
        ("i", "test", 4, 0.9),
        ("j", "train", 5, 1.0),
    )
    near = find(rows)
    assert dropped(near) == {
        "a": "alike to c in test",
        "b": "alike to c in test",
        "d": "alike to e in val",
    }
    section = near_section(near, RULE)
    assert section == {
        "policy": "drop",
        "correlation": 0.997,
        "turns": False,
        "compared": 11,
        "low_contrast": 0,
        "crowded": 0,
        "pairs": 6,
        "pairs_across_splits": 4,
        "pairs_inside_splits": {"train": 1, "val": 0, "test": 1},
        "clusters": 4,
        "clusters_across_splits": 2,
        "largest_cluster": 3,
        "dropped": {"train": 2, "val": 1, "test": 0},
        "kept_by_review": [],
        "leaks_left": 0,
        "pairs_with_two_labels": 0,
        "two_labels": [],
    }
    assert near_warnings(near) == []


def test_the_table_of_pairs():
    rows = table(("b", "train", 1, 1.0), ("a", "test", 1, 0.9), ("c", "train", 1, 0.8))
    pairs = find(rows).pairs
    assert tuple(pairs.columns) == PAIR_COLUMNS
    assert pairs[["path_a", "path_b", "turn", "split_a", "split_b", "dropped"]].values.tolist() == [
        ["a", "b", "none", "test", "train", "b"],
        ["a", "c", "none", "test", "train", "b"],
        ["b", "c", "none", "train", "train", "both"],
    ]
    empty = find(rows[:1]).pairs
    assert len(empty) == 0
    assert list(empty.dtypes) == list(pairs.dtypes)


def test_a_chain_is_one_cluster_and_its_far_end_goes_too():
    # a - b - c, but not a - c: the steps are small, and the way is long.
    ends = [np.asarray(small(scene(seed)), dtype=float) for seed in (1, 2)]
    steps = [
        np.rint(ends[0] + share * (ends[1] - ends[0])).astype(np.uint8)
        for share in (0.0, 0.08, 0.16)
    ]
    rows = pd.DataFrame(
        {
            "path": ["a", "b", "c"],
            "split": ["train", "train", "test"],
            "label": "x",
            "sketch": [each.tobytes() for each in steps],
        }
    )
    rule = near_rule("drop", correlation=0.995, turns=False, task="classification")
    near = find(rows, rule=rule)
    assert [(a, b) for a, b in zip(near.pairs["path_a"], near.pairs["path_b"], strict=True)] == [
        ("a", "b"),
        ("b", "c"),
    ]
    assert dropped(near) == {"a": "alike to c in test, by way of others", "b": "alike to c in test"}
    correlation = np.corrcoef(steps[0].ravel(), steps[2].ravel())[0, 1]
    assert near.dropped[0].detail.startswith(f"{correlation:.4f} ")


def test_of_several_the_closest_is_named():
    rows = table(("a", "train", 1, 1.0), ("b", "test", 1, 0.5), ("c", "test", 1, 0.99))
    assert dropped(find(rows)) == {"a": "alike to c in test"}


def test_report_only_drops_nothing_and_counts_what_leaks():
    rows = table(("a", "train", 1, 1.0), ("b", "test", 1, 0.9))
    rule = near_rule("report", correlation=0.997, turns=False, task="classification")
    near = find(rows, rule=rule)
    assert (dropped(near), near.leaks_left, list(near.pairs["dropped"])) == ({}, 1, ["none"])
    assert near_warnings(near) == [
        "1 pairs of near-duplicates are in two splits, and both are kept; first: a in train and "
        "b in test"
    ]


def test_off_looks_at_nothing():
    rule = near_rule("off", correlation=0.997, turns=False, task="classification")
    near = find(table(("a", "train", 1, 1.0), ("b", "test", 1, 0.9)), rule=rule)
    assert (len(near.pairs), near.compared, near.leaks_left) == (0, 0, 0)


def test_turned_copies_leak_only_where_turns_are_compared():
    rows = table(("a", "train", 1, 1.0), ("b", "test", 2, 1.0))
    turned = np.rot90(np.frombuffer(rows["sketch"][0], np.uint8).reshape(32, 32))
    rows.loc[1, "sketch"] = np.ascontiguousarray(turned).tobytes()
    assert dropped(find(rows)) == {}
    near = find(rows, rule=near_rule("drop", correlation=0.997, turns=True, task="classification"))
    assert dropped(near) == {"a": "alike to b in test"}
    assert list(near.pairs["turn"]) == ["left turn"]


def test_a_person_may_keep_an_item_and_it_is_told():
    rows = table(("a", "train", 1, 1.0), ("b", "train", 1, 0.9), ("c", "test", 1, 0.8))
    near = find(rows, wanted=["a", "c"])
    assert dropped(near) == {"b": "alike to c in test"}
    assert [(each.path, each.split) for each in near.wanted] == [("a", "train")]
    assert near.leaks_left == 0
    assert list(near.leaks["path_a"]) == ["b"]
    assert near_section(near, RULE)["kept_by_review"] == ["a"]


def test_two_labels_of_nearly_the_same_are_told_and_nothing_is_edited():
    rows = table(("a", "train", 1, 1.0), ("b", "train", 1, 0.9), ("c", "train", 1, 0.8))
    rows.loc[1, "label"] = "y"
    near = find(rows)
    assert dropped(near) == {}
    section = near_section(near, RULE)
    assert section["pairs_with_two_labels"] == 2
    told = [
        [each[name] for name in ("path_a", "label_a", "path_b", "label_b")]
        for each in section["two_labels"]
    ]
    assert told == [["a", "x", "b", "y"], ["b", "y", "c", "x"]]
    assert near_warnings(near) == [
        "2 pairs of near-duplicates with two labels; first: a in train and b in train, 'x' and 'y'"
    ]


def test_a_search_that_was_cut_short_goes_on_until_nothing_leaks(monkeypatch):
    from pipeline.picture.read import near_search as alike

    monkeypatch.setattr(alike, "NEAREST", 1)
    monkeypatch.setattr(alike, "_ROUNDS", 0)
    generator = np.random.default_rng(3)
    crowd = [
        np.clip(small(scene(1)) + generator.integers(-3, 4, (32, 32)), 0, 255) for _ in range(60)
    ]
    rows = pd.DataFrame(
        {
            "path": [f"{number:02}" for number in range(60)],
            "split": ["train", "val", "test"] * 20,
            "label": "x",
            "sketch": [each.astype(np.uint8).tobytes() for each in crowd],
        }
    )
    near = find(rows)
    assert near.crowded == 60
    kept = rows[~rows["path"].isin([each.path for each in near.dropped])]
    assert find(kept).leaks.empty
    assert "resemble so many others" in near_warnings(near)[0]


@pytest.mark.parametrize("order", [[0, 1, 2, 3], [3, 1, 0, 2]])
def test_the_order_of_rows_does_not_matter(order):
    rows = table(
        ("a", "train", 1, 1.0), ("b", "val", 1, 0.9), ("c", "train", 2, 0.8), ("d", "test", 2, 0.9)
    )
    near = find(rows.iloc[order])
    assert dropped(near) == {"a": "alike to b in val", "c": "alike to d in test"}
    assert [rows["path"][each.row] for each in near.dropped] == ["a", "c"]
