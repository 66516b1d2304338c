"""Of equal pictures one is kept if their labels agree, and none if they do not."""

import pandas as pd

from pipeline.clean.duplicates import Duplicate, find_duplicates


def table(*rows):
    return pd.DataFrame(rows, columns=["path", "label", "split", "content_hash"]).astype("str")


def test_the_first_in_path_order_is_kept():
    rows = table(("c", "x", None, "1"), ("a", "x", None, "1"), ("b", "x", None, "1"))
    assert find_duplicates(rows) == [
        Duplicate(2, "duplicate", "as a", 1),
        Duplicate(0, "duplicate", "as a", 1),
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


def test_of_two_given_splits_the_more_protected_keeps_its_picture():
    rows = table(
        ("a", "x", "train", "1"),
        ("b", "x", "val", "1"),
        ("d", "x", "test", "1"),
        ("c", "x", "test", "1"),
    )
    assert find_duplicates(rows) == [
        Duplicate(0, "duplicate", "as c in test", 3),
        Duplicate(1, "duplicate", "as c in test", 3),
        Duplicate(2, "duplicate", "as c in test", 3),
    ]


def test_in_one_given_split_the_first_is_kept():
    rows = table(("a", "x", "test", "1"), ("b", "x", "test", "1"))
    assert find_duplicates(rows) == [Duplicate(1, "duplicate", "as a", 0)]


def test_a_conflict_across_splits_leaks_nothing_since_none_is_kept():
    rows = table(("a", "x", "train", "1"), ("b", "y", "test", "1"))
    assert [each.reason for each in find_duplicates(rows)] == ["conflict", "conflict"]
