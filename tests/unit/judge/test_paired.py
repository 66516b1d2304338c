"""Paired gains: known answers, and laws that hold whatever the data."""

import numpy as np
import pytest

from pipeline.judge.paired import Items, compare, score
from pipeline.judge.resampling import Bootstrap


def outputs(predicted_N, *, sure=0.9, classes=2):
    table = np.full((len(predicted_N), classes), (1 - sure) / (classes - 1))
    table[np.arange(len(predicted_N)), predicted_N] = sure
    return table


def items(targets_N, groups_N=None, classes=("a", "b")):
    groups = np.arange(len(targets_N)) if groups_N is None else groups_N
    return Items(np.asarray(targets_N), groups, classes, 15)


def contest(on, new, old, *, confidence=0.95, resamples=2000, seed=1):
    return compare(
        on, new, old, bootstrap=Bootstrap(resamples, seed, on.groups_N), confidence=confidence
    )


def halves(count, wrong):
    """Give targets of two classes in turn, and predictions of which every so many is wrong."""
    targets = np.arange(count) % 2
    return targets, np.where(np.arange(count) % wrong == 0, 1 - targets, targets)


def test_known_gains():
    """Ten items; the candidate is right on nine, the champion on six."""
    targets = np.array([0] * 5 + [1] * 5)
    new, old = targets.copy(), targets.copy()
    new[0] = 1
    old[[0, 1, 2, 9]] = 1 - old[[0, 1, 2, 9]]
    gains = contest(items(targets), outputs(new), outputs(old))
    assert gains["accuracy"].candidate == pytest.approx(0.9)
    assert gains["accuracy"].champion == pytest.approx(0.6)
    assert gains["accuracy"].value == pytest.approx(0.3)
    assert gains["recall.a"].value == pytest.approx(0.8 - 0.4)
    assert gains["recall.b"].value == pytest.approx(1.0 - 0.8)
    assert gains["loss"].value == pytest.approx(0.3 * (np.log(0.9) - np.log(0.1)))


def test_the_interval_is_that_of_the_differences():
    """400 independent items: mean difference and its standard error are known."""
    generator = np.random.default_rng(3)
    targets = generator.integers(0, 2, 400)
    new = np.where(generator.random(400) < 0.10, 1 - targets, targets)
    old = np.where(generator.random(400) < 0.20, 1 - targets, targets)
    gain = contest(items(targets), outputs(new), outputs(old), resamples=10_000)["accuracy"]
    difference = (new == targets).astype(float) - (old == targets)
    error = difference.std() / np.sqrt(400)
    assert gain.value == pytest.approx(difference.mean())
    assert gain.low == pytest.approx(difference.mean() - 1.96 * error, abs=0.003)
    assert gain.high == pytest.approx(difference.mean() + 1.96 * error, abs=0.003)


def test_pairing_makes_the_interval_narrower_than_two_apart():
    """Both are wrong on the same hard items; the candidate is better on a few others."""
    targets, old = halves(200, 5)
    new = old.copy()
    new[[5, 15, 25, 35, 45, 55]] = targets[[5, 15, 25, 35, 45, 55]]
    gain = contest(items(targets), outputs(new), outputs(old))["accuracy"]
    apart = np.sqrt(2 * 0.2 * 0.8 / 200) * 1.96
    assert gain.low > 0
    assert gain.high - gain.low < apart


def test_a_model_gains_nothing_on_itself():
    targets, old = halves(50, 4)
    for gain in contest(items(targets), outputs(old), outputs(old)).values():
        assert (gain.value, gain.low, gain.high) == (0.0, 0.0, 0.0)


def test_swapping_the_two_mirrors_every_gain():
    targets, old = halves(60, 4)
    _, new = halves(60, 7)
    one = contest(items(targets), outputs(new, sure=0.8), outputs(old))
    other = contest(items(targets), outputs(old), outputs(new, sure=0.8))
    for name, gain in one.items():
        assert gain.value == pytest.approx(-other[name].value)
        assert gain.low == pytest.approx(-other[name].high)
        assert gain.candidate == other[name].champion


def test_copies_in_one_group_add_no_certainty():
    targets, old = halves(40, 3)
    _, new = halves(40, 8)
    once = contest(items(targets), outputs(new), outputs(old))["accuracy"]
    twice = np.repeat(np.arange(40), 2)
    copied = contest(items(targets[twice], twice), outputs(new[twice]), outputs(old[twice]))
    assert copied["accuracy"].low == pytest.approx(once.low)
    apart = contest(items(targets[twice]), outputs(new[twice]), outputs(old[twice]))
    assert apart["accuracy"].low > once.low


def test_more_confidence_is_a_wider_interval():
    targets, old = halves(40, 3)
    _, new = halves(40, 8)
    narrow, wide = (
        contest(items(targets), outputs(new), outputs(old), confidence=c)["accuracy"]
        for c in (0.5, 0.99)
    )
    assert wide.low < narrow.low <= narrow.value <= narrow.high < wide.high


def test_smaller_errors_of_a_regression_are_a_gain():
    targets = np.linspace(0, 1, 30)
    new, old = (targets + 0.1)[:, np.newaxis], (targets - 0.3)[:, np.newaxis]
    gains = contest(items(targets, classes=()), new, old)
    assert gains["mae"].value == pytest.approx(0.2)
    assert gains["mae"].low == pytest.approx(0.2)
    assert gains["r2"].value > 0
    assert not any(name.startswith("recall") for name in gains)


def test_a_class_that_does_not_occur_has_no_gain():
    targets = np.zeros(10, dtype=np.int64)
    gains = contest(items(targets), outputs(targets), outputs(1 - targets))
    assert gains["recall.b"].value is None
    assert gains["recall.b"].low is None
    assert gains["roc_auc"].value is None
    assert "recall.b" not in score(items(targets), outputs(targets))
