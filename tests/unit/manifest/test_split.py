"""Items are dealt by their own hash or by the user's word, and shares beyond chance are found."""

import math
from collections import Counter

import pandas as pd
import pytest
from pydantic import ValidationError

from pipeline.ground.errors import DataError
from pipeline.manifest.params import SplitParams
from pipeline.manifest.split import (
    assign_splits,
    draw_split,
    expected_shares,
    far_shares,
    plan_splits,
)
from pipeline.raw.layout.split_words import split_name

REST = {"missing": "carve", "small_classes": "train"}
PARAMS = SplitParams(seed=1, train=0.6, val=0.15, test=0.25, **REST)
SHARES = {"train": 0.6, "val": 0.15, "test": 0.25}


def table(*rows):
    return pd.DataFrame(rows, columns=["path", "split", "group", "content_hash"]).astype("str")


def hashes(n):
    return [f"{number:064x}" for number in range(n)]


def test_the_draw_never_changes():
    # A change here moves test items of every user into train: it must be a decision.
    drawn = [draw_split(each, None, PARAMS) for each in hashes(12)]
    grouped = [draw_split("", each, PARAMS) for each in ("a", "b", "c", "d", "e", "f")]
    assert " ".join(drawn) == "train train test val test train test val test train train train"
    assert " ".join(grouped) == "train train train train train train"


def test_a_group_named_like_a_hash_is_drawn_apart():
    pairs = {(draw_split(each, None, PARAMS), draw_split("", each, PARAMS)) for each in hashes(512)}
    assert len(pairs) == 9


def test_shares_are_those_of_the_params():
    counts = Counter(draw_split(each, None, PARAMS) for each in hashes(20_000))
    for split, share in SHARES.items():
        assert abs(counts[split] / 20_000 - share) < 4 * math.sqrt(share * (1 - share) / 20_000)


def test_another_seed_deals_anew():
    other = PARAMS.model_copy(update={"seed": 2})
    moved = sum(draw_split(h, None, PARAMS) != draw_split(h, None, other) for h in hashes(1000))
    assert abs(moved / 1000 - (1 - 0.6**2 - 0.15**2 - 0.25**2)) < 0.07


def dealt(rows, params=PARAMS):
    dealing, _ = plan_splits(rows["split"], params)
    return list(assign_splits(rows, params, dealing))


def given(**counts):
    """Make rows of given splits, all their pixels different."""
    names = [name for name, n in counts.items() for _ in range(n)]
    return table(*((f"{at:04}", name, None, f"{at:x}") for at, name in enumerate(names)))


def test_given_splits_win():
    rows = table(
        ("a", "test", None, "1"),
        ("b", "val", "g", "2"),
        ("c", "val", "g", "3"),
        ("d", "train", None, "4"),
    )
    assert dealt(rows) == ["test", "val", "val", "train"]


def test_without_given_splits_the_group_decides_before_the_pixels():
    rows = table(("a", None, "g", "1"), ("b", None, None, "1"))
    assert dealt(rows) == [draw_split("1", "g", PARAMS), draw_split("1", None, PARAMS)]


def test_no_rows_get_no_splits():
    assert dealt(table()) == []


@pytest.mark.parametrize(
    ("counts", "became", "told"),
    [
        pytest.param(
            {"train": 400, "test": 100},
            {"train": {"train", "val"}, "test": {"test"}},
            "train (400 items) and test (100 items) alone: val is carved out of train",
            id="train-and-test",
        ),
        pytest.param(
            {"train": 400, "val": 100},
            {"train": {"train", "val"}, "val": {"test"}},
            "val is taken as the held-out test, and a new val is carved out of train",
            id="train-and-val",
        ),
        pytest.param(
            {"train": 400},
            {"train": {"train", "val", "test"}},
            "val and test are carved out of train",
            id="train-alone",
        ),
        pytest.param(
            {"train": 9, "val": 9, "test": 9},
            {"train": {"train"}, "val": {"val"}, "test": {"test"}},
            None,
            id="all",
        ),
    ],
)
def test_a_missing_split_is_carved_out_of_train_and_told(counts, became, told):
    rows = given(**counts)
    splits = pd.Series(dealt(rows))
    assert {name: set(splits[rows["split"] == name]) for name in counts} == became
    warnings = plan_splits(rows["split"], PARAMS)[1]
    assert [told in each for each in warnings] == ([True] if told else [])


def test_a_carved_val_has_its_share_of_train():
    splits = Counter(dealt(given(train=4000, test=10)))
    assert splits["val"] == pytest.approx(4000 * 0.15 / 0.75, abs=6 * math.sqrt(4000 * 0.2 * 0.8))


def test_groups_stay_whole_where_a_split_is_carved():
    rows = table(*((f"{at}", "train", f"g{at % 40}", f"{at:x}") for at in range(400)))
    splits = pd.Series(dealt(rows)).groupby(rows["group"]).nunique()
    assert set(splits) == {1}


@pytest.mark.parametrize(
    ("counts", "params", "match"),
    [
        pytest.param(
            {"train": 8, "test": 2},
            {"missing": "error"},
            r"must be train, val and test, and there is only train \(8 items\) and test "
            r"\(2 items\) \(.*split.missing to carve",
            id="carving-is-off",
        ),
        pytest.param({"val": 8, "test": 2}, {}, "must have a train", id="val-and-test"),
        pytest.param({"test": 2}, {}, "must have a train", id="test-alone"),
        pytest.param({"val": 2}, {}, "must have a train", id="val-alone"),
    ],
)
def test_splits_that_cannot_be_carved_are_refused(counts, params, match):
    with pytest.raises(DataError, match=match):
        plan_splits(given(**counts)["split"], PARAMS.model_copy(update=params))


def test_a_given_split_for_some_is_refused():
    rows = table(("a", "train", None, "1"), ("b", None, None, "2"), ("c", "test", None, "3"))
    with pytest.raises(DataError, match="b: has no split, and other items have one; 1 of 3 items"):
        dealt(rows)


def test_a_group_in_two_given_splits_is_refused():
    rows = table(
        ("a", "test", "g", "1"),
        ("b", "test", "g", "2"),
        ("c", "train", "g", "3"),
        ("d", "train", None, "4"),
        ("e", "test", None, "5"),
    )
    with pytest.raises(DataError, match="and 'g' has a in test and c in train"):
        dealt(rows)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("train", "train"),
        (" Valid ", "val"),
        ("VALIDATION", "val"),
        ("test", "test"),
        ("dev", "val"),
        ("", None),
        ("Training", "train"),
        ("hold-out", "test"),
        ("train_set", None),
        ("contest", None),
    ],
)
def test_names(text, name):
    assert split_name(text) == name


@pytest.mark.parametrize(
    "fractions",
    [(0.6, 0.2, 0.3), (1.0, 0.0, 0.0), (0.8, 0.2, 0.0), (1.2, -0.1, -0.1), (0.6, 0.15, 0.2499)],
)
def test_fractions_sum_to_one_and_none_is_zero(fractions):
    train, val, test = fractions
    with pytest.raises(ValidationError):
        SplitParams(seed=1, train=train, val=val, test=test, **REST)


def test_thirds_are_accepted():
    SplitParams(seed=1, train=1 / 3, val=1 / 3, test=1 / 3, **REST)


def splits(train, val, test):
    return pd.Series(["train"] * train + ["val"] * val + ["test"] * test, dtype="str")


def no_groups(n):
    return pd.Series([None] * n, dtype="str")


def test_a_share_beyond_chance_is_found_with_its_z():
    far = far_shares(splits(600, 250, 150), no_groups(1000), SHARES, comparisons=3)
    assert [(each.split, each.found, each.expected) for each in far] == [
        ("val", 250, 150.0),
        ("test", 150, 250.0),
    ]
    assert far[0].z == pytest.approx(100 / math.sqrt(1000 * 0.15 * 0.85))


def test_a_share_within_chance_is_not():
    # |z| is up to 1.9; the bound for three comparisons is 2.9.
    assert far_shares(splits(571, 171, 258), no_groups(1000), SHARES, comparisons=3) == []


def test_the_more_is_compared_the_further_a_share_may_stray():
    one = splits(642, 129, 229)  # z = 2.7 for train
    found = [far_shares(one, no_groups(1000), SHARES, comparisons=n) for n in (1, 30)]
    assert [[each.split for each in far] for far in found] == [["train"], []]


def test_few_items_get_no_verdict():
    assert far_shares(splits(0, 12, 0), no_groups(12), SHARES, comparisons=3) == []


def test_big_groups_may_stray_further():
    grouped = pd.Series([f"g{number // 50}" for number in range(1000)], dtype="str")
    assert far_shares(splits(500, 250, 250), grouped, SHARES, comparisons=3) == []
    assert far_shares(splits(500, 250, 250), no_groups(1000), SHARES, comparisons=3)


@pytest.mark.parametrize(
    ("rows", "shares"),
    [
        pytest.param(
            given(train=70, val=10, test=20), {"train": 0.7, "val": 0.1, "test": 0.2}, id="given"
        ),
        pytest.param(
            given(train=80, test=20), {"train": 0.64, "val": 0.16, "test": 0.2}, id="val-is-carved"
        ),
        pytest.param(
            given(train=80, val=20), {"train": 0.64, "val": 0.16, "test": 0.2}, id="val-is-test"
        ),
        pytest.param(given(train=9), SHARES, id="train-alone"),
        pytest.param(table(("a", None, None, "1")), SHARES, id="drawn"),
    ],
)
def test_shares_that_are_expected_everywhere(rows, shares):
    dealing, _ = plan_splits(rows["split"], PARAMS)
    assert expected_shares(rows["split"], PARAMS, dealing) == pytest.approx(shares)
