"""Labels are checked as a whole, and empty ones are filled by a policy that leaks nothing."""

import pandas as pd
import pytest

from pipeline.clean.labels import check_labels, fill_labels, label_key, parse_number
from pipeline.ground.errors import DataError, ParamsError

CLASSIFY, REGRESS = "classification", "regression"


def labeled(*labels):
    where = [f"labels.csv:{line}" for line in range(2, 2 + len(labels))]
    return pd.DataFrame({"label": pd.Series(labels, dtype="str"), "where": where})


def asked(*rows):
    """Rows of path, label, place in the file, split, by path; those without a label are missing."""
    table = pd.DataFrame(sorted(rows), columns=["path", "label", "row", "split"])
    table = table.astype({"path": "str", "label": "str", "row": "Int64", "split": "str"})
    return table.assign(is_missing=table["label"].isna())


RECORDING = asked(
    ("d", None, 0, None),
    ("c", "x", 1, "train"),
    ("b", None, 2, None),
    ("a", "y", 3, "test"),
    ("e", "y", 4, "test"),
    ("f", None, 5, None),
    ("g", None, None, None),
)
"""In label-file order: ? x ? y y ?, and a file without a row. Train knows x only."""


@pytest.mark.parametrize(
    ("policy", "filled"),
    [
        ("ffill", {"b": "x", "f": "y"}),
        ("bfill", {"d": "x", "b": "y"}),
        ("most_frequent", {"d": "x", "b": "x", "f": "x"}),
        ("quarantine", {}),
        ("drop", {}),
    ],
)
def test_each_policy_fills_what_it_can_and_no_file_without_a_row(policy, filled):
    labels = fill_labels(RECORDING, policy, CLASSIFY)
    assert dict(zip(RECORDING["path"].loc[labels.index], labels, strict=True)) == filled


def test_numbers_are_filled_from_train_alone():
    rows = asked(
        ("a", "1.0", 0, "train"),
        ("b", "2.0", 1, "train"),
        ("c", "6.0", 2, "train"),
        ("d", "100.0", 3, "test"),
        ("e", None, 4, None),
    )
    assert list(fill_labels(rows, "mean", REGRESS)) == ["3.0"]
    assert list(fill_labels(rows, "median", REGRESS)) == ["2.0"]


def test_a_tie_goes_to_the_first_by_code_point():
    rows = asked(("a", "y", 0, "train"), ("b", "x", 1, "train"), ("c", None, 2, None))
    assert list(fill_labels(rows, "most_frequent", CLASSIFY)) == ["x"]


def test_policies_that_cannot_be_kept():
    with pytest.raises(DataError, match="b: has no label, as the first of 4"):
        fill_labels(RECORDING, "error", CLASSIFY)
    with pytest.raises(ParamsError, match="is for task: regression, got 'mean'"):
        fill_labels(RECORDING, "mean", CLASSIFY)
    rows = asked(("a", "y", 0, "test"), ("b", None, 1, None))
    with pytest.raises(DataError, match="the train split has no label to learn from"):
        fill_labels(rows, "most_frequent", CLASSIFY)


def test_error_does_nothing_where_all_is_labeled():
    assert fill_labels(asked(("a", "y", 0, "test")), "error", CLASSIFY).empty


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("cat", " cat"),
        ("cat", "Cat"),
        ("caf\u00e9", "cafe\u0301"),
        ("cat", "ca\u200bt"),
        ("stra\u00dfe", "STRASSE"),
        ("cat", "cat\u00a0"),
        ("a", "a\x07"),
    ],
    ids=["space", "case", "composed", "invisible", "sharp-s", "no-break", "control"],
)
def test_spellings_that_collide_are_listed(one, other):
    assert label_key(one) == label_key(other)
    with pytest.raises(DataError, match="1 labels are spelled in several ways") as caught:
        check_labels(labeled(one, "dog", other, one), CLASSIFY)
    for place in ("labels.csv:2", "labels.csv:4"):
        assert place in str(caught.value)
    assert ascii(other) in str(caught.value)


def test_labels_that_differ_stay_as_they_are():
    labels = ["NA", "None", "null", "true", "1", "1.5", "caf\u00e9", "cafe", " odd"]
    checked, warnings = check_labels(labeled(*labels, None), CLASSIFY)
    assert list(checked[:-1]) == labels
    assert pd.isna(checked.iloc[-1])
    assert [each.partition(" is a class")[0] for each in warnings] == [
        "the label 'NA'",
        "the label 'None'",
        "the label 'null'",
    ]


@pytest.mark.parametrize("word", ["nan", "NaN", "None", "n/a", "?", "-", "--", "Unknown", "<NA>"])
def test_a_class_that_reads_like_not_known_is_told(word):
    _, warnings = check_labels(labeled("cat", word, word), CLASSIFY)
    assert warnings == [
        f"the label {word!r} is a class of 2 items, and reads like 'not known'; first: "
        "labels.csv:3 (leave the cell empty where there is no label)"
    ]


@pytest.mark.parametrize("word", ["0", "nano", "noon", "minus-", "a.", "no", "-1"])
def test_a_class_of_another_name_is_not(word):
    assert check_labels(labeled("cat", word, word), CLASSIFY)[1] == []


def test_one_number_as_two_classes_is_told():
    _, warnings = check_labels(labeled("1", "001", "2"), CLASSIFY)
    assert warnings == ["the labels '001' and '1' are the same number, and different classes"]


@pytest.mark.parametrize("label", ["cat|dog", "dog; cat", "cat,dog"])
def test_a_list_of_classes_is_refused(label):
    with pytest.raises(DataError, match=r"labels\.csv:4: an item must have one label"):
        check_labels(labeled("cat", "dog", label), CLASSIFY)


def test_a_class_name_may_hold_a_separator():
    check_labels(labeled("cat|dog", "cat"), CLASSIFY)


def test_numbers_take_one_form():
    checked, _ = check_labels(labeled("0.50", "1", None, " -2e3 ", "+.5", "0.1"), REGRESS)
    assert [*checked[:2], *checked[3:]] == ["0.5", "1.0", "-2000.0", "0.5", "0.1"]
    assert pd.isna(checked[2])


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("1,5", r"write a decimal point: 1\.5"),
        ("nan", "leave the cell empty where there is no label"),
        ("inf", "leave the cell empty"),
        ("1e999", "leave the cell empty"),
        ("1_000", "leave the cell empty"),
        ("0x10", "leave the cell empty"),
        ("NA", "leave the cell empty"),
        ("\u0661", "leave the cell empty"),
        ("cat", "leave the cell empty"),
    ],
)
def test_what_is_no_finite_number_is_refused(text, hint):
    with pytest.raises(DataError, match=rf"x\.csv:7: the label must be a finite number.*{hint}"):
        parse_number("x.csv:7", text)


@pytest.mark.parametrize(
    ("label", "remedy"),
    [
        ("3 kg", "the number alone: 3)"),
        ("12.5cm", "the number alone: 12.5)"),
        ("40%", "alone: 40)"),
        ("1.000,5", "no mark between thousands"),
        ("1,234,567", "no mark between thousands"),
    ],
)
def test_a_number_in_another_form_is_refused_with_the_form_to_write(label, remedy):
    with pytest.raises(DataError) as caught:
        parse_number("labels.csv:2", label)
    assert remedy in str(caught.value)


@pytest.mark.parametrize(
    ("placeholder", "n"), [("-999", 2), ("-1", 3), ("9999", 2), ("-1", 1), ("-99999", 1)]
)
def test_a_recurring_number_far_from_all_others_is_told(placeholder, n):
    _, warnings = check_labels(labeled("0.1", "0.2", "0.3", *[placeholder] * n), REGRESS)
    assert [
        each.startswith(f"{n} items have the label {placeholder}, far from all others (0.1 to 0.3)")
        for each in warnings
    ] == [True] * (n > 1)


@pytest.mark.parametrize("labels", [("-1", "-1", "0", "1"), ("9", "9", "2", "12"), ("9", "9", "1")])
def test_a_recurring_number_among_others_is_no_placeholder(labels):
    assert check_labels(labeled(*labels), REGRESS)[1] == []


@pytest.mark.parametrize("label", ["cat|dog", "cat, dog", "old;cat"])
def test_a_class_that_reads_like_a_list_is_told(label):
    _, warnings = check_labels(labeled("cat", "bird", label), CLASSIFY)
    assert [
        f"the label {label!r} (labels.csv:4) is a class of its own" in each for each in warnings
    ] == [True]
