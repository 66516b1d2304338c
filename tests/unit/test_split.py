"""Items are dealt by their own hash or by the user's word, and shares beyond chance are found."""

import math
from collections import Counter

import pandas as pd
import pytest
from pydantic import ValidationError

from pipeline.data.split import (
    SplitParams,
    assign_splits,
    draw_split,
    expected_shares,
    far_shares,
)
from pipeline.data.split_words import split_name
from pipeline.errors import DataError

PARAMS = SplitParams(seed=1, train=0.6, val=0.15, test=0.25)
SHARES = {"train": 0.6, "val": 0.15, "test": 0.25}


def table(*rows):
    return pd.DataFrame(rows, columns=["path", "split", "group", "pixel_hash"]).astype("str")


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


def test_given_splits_win():
    rows = table(("a", "test", None, "1"), ("b", "val", "g", "2"), ("c", "val", "g", "3"))
    assert list(assign_splits(rows, PARAMS)) == ["test", "val", "val"]


def test_without_given_splits_the_group_decides_before_the_pixels():
    rows = table(("a", None, "g", "1"), ("b", None, None, "1"))
    assert list(assign_splits(rows, PARAMS)) == [
        draw_split("1", "g", PARAMS),
        draw_split("1", None, PARAMS),
    ]


def test_no_rows_get_no_splits():
    assert len(assign_splits(table(), PARAMS)) == 0


def test_a_given_split_for_some_is_refused():
    rows = table(("a", "test", None, "1"), ("b", None, None, "2"))
    with pytest.raises(DataError, match="b: has no split, and other items have one"):
        assign_splits(rows, PARAMS)


def test_a_group_in_two_given_splits_is_refused():
    rows = table(
        ("a", "test", "g", "1"), ("b", "test", "g", "2"), ("c", "train", "g", "3"),
        ("d", "train", None, "4"), ("e", "test", None, "5"),
    )  # fmt: skip
    with pytest.raises(DataError, match="and 'g' has a in test and c in train"):
        assign_splits(rows, PARAMS)


@pytest.mark.parametrize(
    ("text", "name"),
    [("train", "train"), (" Valid ", "val"), ("VALIDATION", "val"), ("test", "test"),
     ("dev", "val"), ("", None), ("Training", "train"), ("hold-out", "test"), ("train_set", None),
     ("contest", None)],
)  # fmt: skip
def test_names(text, name):
    assert split_name(text) == name


@pytest.mark.parametrize(
    "fractions",
    [(0.6, 0.2, 0.3), (1.0, 0.0, 0.0), (0.8, 0.2, 0.0), (1.2, -0.1, -0.1), (0.6, 0.15, 0.2499)],
)
def test_fractions_sum_to_one_and_none_is_zero(fractions):
    train, val, test = fractions
    with pytest.raises(ValidationError):
        SplitParams(seed=1, train=train, val=val, test=test)


def test_thirds_are_accepted():
    SplitParams(seed=1, train=1 / 3, val=1 / 3, test=1 / 3)


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


def test_given_splits_are_expected_everywhere_as_they_are_in_all():
    given = expected_shares(splits(70, 10, 20), PARAMS, is_given=True)
    assert given == {"train": 0.7, "val": 0.1, "test": 0.2}
    assert expected_shares(splits(70, 10, 20), PARAMS, is_given=False) == SHARES
