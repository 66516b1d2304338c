"""Folds hold every item out once, keep groups whole and classes balanced, and refuse the rest."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.crossval.folds import split_folds
from pipeline.crossval.params import CrossvalParams
from pipeline.ground.errors import ParamsError


def params(**changes) -> CrossvalParams:
    values = {"folds": 3, "repeats": 1, "items": "all", "val_frac": 0.2, "seed": 1}
    return CrossvalParams.model_validate(values | changes)


def index(labels, groups=None, splits=None) -> pd.DataFrame:
    items = len(labels)
    return pd.DataFrame(
        {
            "path": [f"{number}.png" for number in range(items)],
            "label": pd.Series([str(label) for label in labels], dtype="string"),
            "group": pd.Series(groups or [None] * items, dtype="string"),
            "split": splits or ["train"] * items,
        }
    )


def test_items_that_look_alike_go_together():
    table = index("ab" * 20, groups=[f"g{n}" if n < 4 else None for n in range(40)])
    # A chain through an item, a group and an item; what the store does not have, does not count.
    pairs = [("10.png", "20.png"), ("20.png", "0.png"), ("0.png", "31.png"), ("31.png", "gone.png")]
    alike = pd.DataFrame(pairs, columns=["path_a", "path_b"], dtype="string")
    for each in split_folds(table, params(repeats=3), task="classification", alike=alike):
        for part in (each.rows.train, each.rows.val, each.held_out):
            assert len({0, 10, 20, 31} & set(part)) in (0, 4)
    none = split_folds(table, params(), task="classification", alike=alike[:0])
    alone = split_folds(table, params(), task="classification")
    assert all(np.array_equal(a.held_out, b.held_out) for a, b in zip(none, alone, strict=True))


@settings(max_examples=40, deadline=None)
@given(
    labels=st.lists(st.sampled_from("ab"), min_size=10, max_size=50),
    grouped=st.booleans(),
    folds=st.integers(2, 4),
    repeats=st.integers(1, 2),
    seed=st.integers(0, 9),
)
def test_laws_of_folds(labels, grouped, folds, repeats, seed):
    labels = [*labels, *"aabb" * 5]  # five groups of each class, one more than folds
    groups = [f"g{number // 2}" for number in range(len(labels))] if grouped else None
    table = index(labels, groups)
    chosen = params(folds=folds, repeats=repeats, seed=seed)
    found = split_folds(table, chosen, task="classification")
    assert [(each.repeat, each.fold) for each in found] == [
        (repeat, fold) for repeat in range(1, repeats + 1) for fold in range(1, folds + 1)
    ]
    for repeat in range(1, repeats + 1):
        held = np.concatenate([each.held_out for each in found if each.repeat == repeat])
        assert sorted(held) == list(range(len(labels)))
    for each in found:
        parts = [each.rows.train, each.rows.val, each.held_out]
        assert sorted(np.concatenate(parts)) == list(range(len(labels)))
        assert all(len(part) for part in parts)
        if grouped:
            names = [set(table["group"].iloc[part]) for part in parts]
            assert not names[0] & names[1]
            assert not names[0] & names[2]
            assert not names[1] & names[2]
    again = split_folds(table, chosen, task="classification")
    assert all(
        np.array_equal(a.held_out, b.held_out) and np.array_equal(a.rows.val, b.rows.val)
        for a, b in zip(found, again, strict=True)
    )


@settings(max_examples=40, deadline=None)
@given(
    items=st.integers(12, 60),
    grouped=st.booleans(),
    folds=st.integers(2, 5),
    val_frac=st.sampled_from([0.01, 0.1, 0.15, 0.4, 0.5]),
)
def test_laws_of_folds_of_values(items, grouped, folds, val_frac):
    groups = [f"g{number // 2}" for number in range(items)] if grouped else None
    table = index([number % 7 for number in range(items)], groups)
    found = split_folds(table, params(folds=folds, val_frac=val_frac), task="regression")
    held = np.concatenate([each.held_out for each in found])
    assert sorted(held) == list(range(items))
    for each in found:
        parts = [each.rows.train, each.rows.val, each.held_out]
        assert sorted(np.concatenate(parts)) == list(range(items))
        assert all(len(part) for part in parts)


@pytest.mark.parametrize("val_frac", [0.02, 0.1, 0.15, 0.2, 0.3, 0.4, 0.45, 0.5])
@pytest.mark.parametrize("is_grouped", [False, True])
def test_validation_is_the_share_that_was_asked_for(val_frac, is_grouped):
    labels = ["rare"] * 6 + ["common"] * 394
    groups = [f"g{number // 2}" for number in range(400)] if is_grouped else None
    if is_grouped:
        labels = ["rare"] * 12 + labels[12:]
    for each in split_folds(
        index(labels, groups), params(folds=4, val_frac=val_frac), task="classification"
    ):
        share = len(each.rows.val) / (len(each.rows.val) + len(each.rows.train))
        assert abs(share - val_frac) < 0.02


def test_a_rare_class_is_trained_on_and_validated_wherever_it_can_be():
    labels = ["rare"] * 5 + ["common"] * 395
    for seed in range(20):
        for each in split_folds(index(labels), params(folds=4, seed=seed), task="classification"):
            for part in (each.rows.train, each.rows.val, each.held_out):
                assert "rare" in {labels[row] for row in part}


def test_three_members_cannot_be_halved():
    with pytest.raises(
        ParamsError, match=r"crossval\.folds: needs 4 members \(or groups\) of class"
    ):
        split_folds(index(["few"] * 3 + ["many"] * 20), params(folds=2), task="classification")


def test_a_group_that_holds_nearly_all_of_a_class_is_refused():
    labels = ["few"] * 4 + ["many"] * 12
    together = ["x"] * 4 + [f"g{number}" for number in range(12)]
    with pytest.raises(ParamsError, match="class 'few'"):
        split_folds(index(labels, together), params(folds=2), task="classification")


def test_classes_are_balanced_over_folds_and_validation():
    table = index(["rare"] * 40 + ["common"] * 360)
    for each in split_folds(table, params(folds=4), task="classification"):
        for part, wanted in ((each.held_out, 10), (each.rows.val, 6)):
            assert abs((table["label"].iloc[part] == "rare").sum() - wanted) <= 1


def test_regression_is_balanced_over_ranges_of_the_target():
    table = index(range(200))
    for each in split_folds(table, params(folds=4), task="regression"):
        values = table["label"].iloc[each.held_out].astype(float)
        assert abs(values.mean() - 99.5) < 6


def test_trainval_leaves_the_test_split_alone():
    splits = ["train", "val", "test"] * 20
    found = split_folds(
        index(["a", "b"] * 30, splits=splits), params(items="trainval"), task="classification"
    )
    used = np.concatenate([each.held_out for each in found])
    assert len(used) == 40
    assert {splits[row] for row in used} == {"train", "val"}


def test_other_seeds_and_repeats_deal_otherwise():
    table = index(["a", "b"] * 30)
    first, *_ = split_folds(table, params(), task="classification")
    other, *_ = split_folds(table, params(seed=2), task="classification")
    repeated = split_folds(table, params(repeats=2), task="classification")[3]
    assert not np.array_equal(first.held_out, other.held_out)
    assert not np.array_equal(first.held_out, repeated.held_out)


@pytest.mark.parametrize(
    ("groups", "folds", "members"), [(None, 4, 4), (None, 9, 4), (["x"] * 2 + ["y"] * 2, 2, 2)]
)
def test_more_folds_than_members_of_a_class_are_refused(groups, folds, members):
    rest = [f"g{number}" for number in range(20)] if groups else None
    table = index(["few"] * 4 + ["many"] * 20, groups + rest if groups else None)
    with pytest.raises(ParamsError) as caught:
        split_folds(table, params(folds=folds), task="classification")
    assert str(caught.value) == (
        f"params.yaml: crossval.folds: must be below {members}, the members (or groups) of class "
        "'few', so that every fold has some to hold out, to validate on and to train on, got "
        f"{folds} (lower it, or label more items)"
    )
