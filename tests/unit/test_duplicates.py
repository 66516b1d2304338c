"""Of equal pictures one is kept if their labels agree, and none if they do not."""

import pandas as pd
import pytest

from pipeline.data.duplicates import Duplicate, find_duplicates
from pipeline.errors import DataError


def table(*rows):
    return pd.DataFrame(rows, columns=["path", "label", "split", "pixel_hash"]).astype("str")


def test_the_first_in_path_order_is_kept():
    rows = table(("c", "x", None, "1"), ("a", "x", None, "1"), ("b", "x", None, "1"))
    assert find_duplicates(rows) == [
        Duplicate(2, "duplicate", "as a"),
        Duplicate(0, "duplicate", "as a"),
    ]


def test_unequal_pictures_are_no_duplicates():
    assert find_duplicates(table(("a", "x", None, "1"), ("b", "x", None, "2"))) == []


def test_two_labels_leave_none():
    rows = table(("a", "x", None, "1"), ("b", "x", None, "1"), ("c", "y", None, "1"))
    assert find_duplicates(rows) == [
        Duplicate(0, "conflict", "'x' here, 'y' at c"),
        Duplicate(1, "conflict", "'x' here, 'y' at c"),
        Duplicate(2, "conflict", "'y' here, 'x' at a"),
    ]


def test_in_two_given_splits_they_are_a_leak():
    rows = table(("a", "x", "train", "1"), ("b", "x", "train", "1"), ("c", "x", "test", "1"))
    with pytest.raises(
        DataError, match="c: must not be the same picture in test as a in train"
    ) as caught:
        find_duplicates(rows)
    assert caught.value.exit_code == 3


def test_in_one_given_split_they_are_not():
    rows = table(("a", "x", "test", "1"), ("b", "x", "test", "1"))
    assert find_duplicates(rows) == [Duplicate(1, "duplicate", "as a")]


def test_a_conflict_across_splits_leaks_nothing_since_none_is_kept():
    rows = table(("a", "x", "train", "1"), ("b", "y", "test", "1"))
    assert [each.reason for each in find_duplicates(rows)] == ["conflict", "conflict"]
