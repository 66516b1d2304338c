"""Calibration, abstention and slices by hand: what they say is what one counts on one's fingers."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from pipeline.explain.abstention import answered_accuracy, judge_abstention
from pipeline.explain.calibration import judge_calibration, without_temperature
from pipeline.explain.slices import MISSING, Slice, judge_slices, slice_columns, worst_slice
from pipeline.ground.errors import ParamsError
from pipeline.judge.answers import Answers
from pipeline.judge.resampling import Bootstrap
from pipeline.judge.temperature import probabilities
from tests.support.planted import bundle_of


def answers_of(confidence, right, *, temperature=1.0, groups=None, **meta):
    """Give answers of two classes: the first is always said, and is right where it should be."""
    confidence = np.asarray(confidence, dtype=np.float64)
    served = np.stack([confidence, 1 - confidence], axis=1)
    targets = np.where(right, 0, 1)
    count = len(targets)
    index = pd.DataFrame(
        {
            "id": [f"{n:064d}" for n in range(count)],
            **{f"meta.{name}": values for name, values in meta.items()},
        }
    )
    bundle = dataclasses.replace(bundle_of(), temperature=temperature)
    groups = np.arange(count) if groups is None else np.asarray(groups)
    return Answers(bundle, index, index, np.arange(count), served, targets, groups)


def values_of(values, targets, **meta):
    index = pd.DataFrame({f"meta.{name}": each for name, each in meta.items()})
    served = np.asarray(values, dtype=np.float64)[:, np.newaxis]
    count = len(served)
    return Answers(
        bundle_of(task="regression"),
        index,
        index,
        np.arange(count),
        served,
        np.asarray(targets, dtype=np.float64),
        np.arange(count),
    )


def drawn(answers, resamples=200):
    return Bootstrap(resamples, 1, answers.groups_N)


def test_the_temperature_is_taken_back_exactly():
    logits = np.random.default_rng(0).normal(0, 4, (50, 3))
    found = without_temperature(probabilities(logits, 2.5), 2.5)
    np.testing.assert_allclose(found, probabilities(logits, 1.0), rtol=1e-9)


def test_calibration_is_known_by_hand():
    # served: 0.6 of which half is right, 0.9 of which all are: the error is (0.1 + 0.1) / 2
    answers = answers_of([0.6] * 4 + [0.9] * 4, [1, 1, 0, 0, 1, 1, 1, 1])
    found = judge_calibration(answers, 10, drawn(answers))
    assert found["after"]["ece"] == pytest.approx(0.1)
    assert found["after"]["ece"] == pytest.approx(found["before"]["ece"])
    assert found["change"]["ece"] == pytest.approx(0.0)
    assert [each["n"] for each in found["after"]["bins"]] == [4, 4]
    assert [each["accuracy"] for each in found["after"]["bins"]] == [0.5, 1.0]
    assert found["after"]["low"] <= found["after"]["ece"] <= found["after"]["high"]


def test_before_the_temperature_is_what_the_temperature_changed():
    # logits 4 apart are served at temperature 4 as if 1 apart
    sure, served = 1 / (1 + np.exp(-4)), 1 / (1 + np.exp(-1))
    answers = answers_of([served] * 10, [1] * 7 + [0] * 3, temperature=4.0)
    found = judge_calibration(answers, 15, drawn(answers, 0))
    assert found["before"]["ece"] == pytest.approx(sure - 0.7)
    assert found["after"]["ece"] == pytest.approx(served - 0.7)
    assert found["change"]["ece"] == pytest.approx(served - sure)
    assert "low" not in found["after"]


def test_answering_the_surest_is_known_by_hand():
    confidence = np.array([0.6, 0.9, 0.8, 0.7])
    right = np.array([False, True, True, False])
    shares = np.array([0.25, 0.5, 0.51, 0.75, 1.0])
    found = answered_accuracy(confidence, right, np.ones((1, 4)), shares)
    np.testing.assert_allclose(found[0], [1, 1, 2 / 3, 2 / 3, 1 / 2])


def test_items_of_equal_confidence_are_answered_together_whatever_their_order():
    for right in ([1, 0, 1, 0], [0, 1, 0, 1]):
        found = answered_accuracy(
            np.full(4, 0.9), np.array(right), np.ones((1, 4)), np.array([0.01, 0.5, 1.0])
        )
        np.testing.assert_allclose(found, [[0.5, 0.5, 0.5]])


def test_weights_are_repetitions():
    generator = np.random.default_rng(3)
    confidence, right = generator.random(12), generator.random(12) > 0.4
    weights = generator.integers(0, 4, 12)
    shares = np.array([0.2, 0.5, 0.9, 1.0])
    weighed = answered_accuracy(confidence, right, weights[np.newaxis].astype(float), shares)
    repeated = answered_accuracy(
        np.repeat(confidence, weights),
        np.repeat(right, weights),
        np.ones((1, weights.sum())),
        shares,
    )
    np.testing.assert_allclose(weighed, repeated)


def test_abstention_tells_shares_bounds_and_the_whole():
    confidence = np.linspace(0.5, 1.0, 100)
    right = np.arange(100) >= 20  # the 20 least sure are wrong
    answers = answers_of(confidence, right)
    found = judge_abstention(answers, drawn(answers))
    at = found["at"]
    assert at["0.8"]["accuracy"] == 1.0
    assert at["0.9"]["accuracy"] == pytest.approx(80 / 90)
    assert at["0.8"]["confidence"] == pytest.approx(confidence[20])
    assert found["curve"][-1]["accuracy"] == pytest.approx(0.8)
    assert len(found["curve"]) == 100
    by_hand = (80 + sum(80 / n for n in range(81, 101))) / 100
    assert found["area"]["accuracy"] == pytest.approx(by_hand)
    assert all(each["low"] <= each["accuracy"] <= each["high"] for each in found["curve"])


def test_slices_are_known_by_hand():
    side = ["left"] * 60 + ["right"] * 40
    right = [1] * 54 + [0] * 6 + [1] * 20 + [0] * 20
    answers = answers_of([0.9] * 100, right, side=side)
    found = judge_slices(
        answers, slice_columns(answers.index, "auto"), least=30, bootstrap=drawn(answers, 500)
    )
    assert [(each.column, each.value, each.n) for each in found] == [
        ("side", "left", 60),
        ("side", "right", 40),
    ]
    assert [each.score for each in found] == pytest.approx([0.9, 0.5])
    assert [each.difference for each in found] == pytest.approx([0.4, -0.4])
    assert [each.claim for each in found] == ["better", "worse"]
    assert found[1].low < 0.5 < found[1].high
    assert worst_slice(found, is_error=False).value == "right"


def test_a_small_slice_is_counted_and_nothing_is_claimed_of_it():
    answers = answers_of([0.9] * 50, [1] * 45 + [0] * 5, kind=["a"] * 45 + ["b"] * 5)
    found = judge_slices(
        answers, slice_columns(answers.index, "auto"), least=30, bootstrap=drawn(answers)
    )
    # `a` is large enough, but what it would be compared with is not
    assert [(each.n, each.score, each.claim) for each in found] == [
        (45, None, "too few"),
        (5, None, "too few"),
    ]


def test_chance_makes_no_claim():
    generator = np.random.default_rng(8)  # here one of twenty intervals of 95 % misses
    right = generator.random(1000) < 0.8
    columns = {f"c{n}": generator.integers(0, 5, 1000) for n in range(4)}
    answers = answers_of([0.9] * 1000, right, **columns)
    found = judge_slices(
        answers, slice_columns(answers.index, "auto"), least=30, bootstrap=drawn(answers, 1000)
    )
    assert len(found) == 20
    assert {each.claim for each in found} == {"none"}


def test_a_column_that_follows_the_label_is_named_and_its_slices_are_not_the_worst():
    right = [1] * 40 + [0] * 40 + [1] * 60
    side = ["a", "b"] * 70
    degree = ["low"] * 30 + ["lower"] * 10 + ["high"] * 40 + ["low"] * 60
    answers = answers_of([0.9] * 140, right, side=side, degree=degree)
    found = judge_slices(
        answers, slice_columns(answers.index, "auto"), least=30, bootstrap=drawn(answers)
    )
    following = {each.column: each.follows_label for each in found}
    assert following == {"side": False, "degree": True}
    assert worst_slice(found, is_error=False).column == "side"


def test_a_slice_s_name_is_short():
    assert Slice("p", "0.3333333333333333", 3).name == "p = 0.3333"
    assert Slice("p", "mono", 3).name == "p = mono"


def test_values_are_sliced_by_their_error():
    answers = values_of([1.0] * 80, [1.1] * 40 + [3.0] * 40, camera=["old"] * 40 + ["new"] * 40)
    found = judge_slices(
        answers, slice_columns(answers.index, ("camera",)), least=30, bootstrap=drawn(answers)
    )
    assert {each.value: each.score for each in found} == pytest.approx({"new": 2.0, "old": 0.1})
    assert {each.value: each.claim for each in found} == {"new": "worse", "old": "better"}
    assert worst_slice(found, is_error=True).value == "new"


def test_columns_are_chosen_by_their_values_and_sorted_as_people_do():
    index = pd.DataFrame(
        {
            "id": range(40),
            "meta.one": "same",
            "meta.many": range(40),
            "meta.size": ["10", "9", None, "b"] * 10,
        }
    )
    assert list(slice_columns(index, "auto")) == ["size"]
    assert slice_columns(index, []) == {}
    answers = answers_of([0.9] * 40, [1] * 40, size=index["meta.size"].tolist())
    found = judge_slices(
        answers, slice_columns(answers.index, "auto"), least=30, bootstrap=drawn(answers)
    )
    assert [each.value for each in found] == ["9", "10", "b", MISSING]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("nope", r"auto, or columns of the label file of your own, got 'nope' \(there are many\)"),
        ("many", "columns with at most 20 values in the test split; many has 40"),
    ],
)
def test_a_column_that_cannot_be_sliced_is_one_line(name, words):
    with pytest.raises(ParamsError, match=f"explain.slices: must be {words}"):
        slice_columns(pd.DataFrame({"meta.many": range(40)}), (name,))
