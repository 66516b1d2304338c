"""Metrics agree with scikit-learn or a hand computation, and what is not defined is left out."""

import warnings
from functools import partial

import numpy as np
import pytest
from sklearn import metrics as reference

from pipeline.ground.files import canonical_json
from pipeline.judge import metrics
from pipeline.judge.calibration import reliability_bins
from pipeline.judge.metrics import (
    METRICS,
    areas,
    better,
    main,
    monitored,
    monitors,
    of_task,
    per_class_scores,
    shown,
)
from pipeline.judge.resampling import Bootstrap, intervals, point

class_scores = partial(metrics.scores, "classification")


def value_scores(values, targets, weights):
    return metrics.scores("regression", values[:, None], targets, weights, ece_bins=1)


def guesses(items, classes, *, seed=0, decimals=None) -> tuple[np.ndarray, np.ndarray]:
    """Make probabilities that know something, and labels; `decimals` makes many of them equal."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, classes, items)
    logits = generator.normal(size=(items, classes))
    logits[np.arange(items), labels] += 1.0
    if decimals is not None:
        logits = logits.round(decimals)
    table = np.exp(logits)
    return table / table.sum(axis=1, keepdims=True), labels


def all_scores(probabilities, labels, *, bins=15) -> dict[str, float]:
    return point(partial(class_scores, probabilities, labels, ece_bins=bins), len(labels))


def singles(items) -> np.ndarray:
    return np.arange(items)


CASES = {
    "two": guesses(300, 2),
    "two-with-ties": guesses(300, 2, decimals=0),
    "five": guesses(300, 5, seed=1),
    "five-with-ties": guesses(300, 5, seed=2, decimals=0),
}


@pytest.mark.parametrize("case", CASES)
def test_scores_agree_with_scikit_learn(case):
    chances, labels = CASES[case]
    predicted, classes = chances.argmax(axis=1), chances.shape[1]
    one_hot = np.eye(classes)[labels]
    macro = {"average": "macro", "zero_division": 0}
    assert all_scores(chances, labels) == pytest.approx(
        {
            "accuracy": reference.accuracy_score(labels, predicted),
            "balanced_accuracy": reference.balanced_accuracy_score(labels, predicted),
            "precision_macro": reference.precision_score(labels, predicted, **macro),
            "recall_macro": reference.recall_score(labels, predicted, **macro),
            "f1_macro": reference.f1_score(labels, predicted, **macro),
            "roc_auc": reference.roc_auc_score(one_hot, chances, average="macro"),
            "pr_auc": reference.average_precision_score(one_hot, chances, average="macro"),
            "loss": reference.log_loss(labels, chances),
            "ece": _slow_ece(chances, labels, 15),
        },
        rel=1e-9,
    )


def _slow_ece(chances, labels, bins) -> float:
    confidence, right = chances.max(axis=1), chances.argmax(axis=1) == labels
    total = 0.0
    for low in np.arange(bins) / bins:
        inside = (confidence >= low) & (confidence < low + 1 / bins)
        if inside.any():
            total += inside.mean() * abs(right[inside].mean() - confidence[inside].mean())
    return total


@pytest.mark.parametrize("case", CASES)
def test_weights_count_as_repetitions(case):
    chances, labels = CASES[case]
    counts = np.random.default_rng(3).integers(0, 4, len(labels))
    by_weight = class_scores(chances, labels, counts[None].astype(float), ece_bins=15)
    repeated = all_scores(np.repeat(chances, counts, axis=0), np.repeat(labels, counts))
    assert {name: float(value[0]) for name, value in by_weight.items()} == pytest.approx(repeated)


def test_every_metric_has_a_direction_and_lies_where_it_should():
    scores = all_scores(*CASES["five"])
    assert set(scores) <= set(METRICS)
    assert all(0.0 <= value <= 1.0 for name, value in scores.items() if name != "loss")
    assert {better(name) for name in ("loss", "ece", "mae", "rmse", "mse")} == {"min"}
    assert {better(name) for name in ("accuracy", "f1_macro", "roc_auc", "r2")} == {"max"}


def test_two_classes_have_one_roc_area_whichever_is_called_positive():
    chances, labels = CASES["two"]
    roc, _ = areas(chances, labels, np.ones((1, len(labels))))
    assert roc[0, 0] == pytest.approx(roc[0, 1], rel=1e-12)
    assert roc[0, 0] == pytest.approx(reference.roc_auc_score(labels, chances[:, 1]))


def test_a_coin_has_area_one_half_and_a_seer_one():
    labels = np.array([0, 1] * 10)
    assert all_scores(np.full((20, 2), 0.5), labels)["roc_auc"] == 0.5
    seer = all_scores(np.eye(2)[labels], labels)
    assert (seer["roc_auc"], seer["pr_auc"], seer["accuracy"], seer["ece"]) == (1.0, 1.0, 1.0, 0.0)


def test_a_confident_mistake_has_a_finite_loss():
    scores = all_scores(np.eye(2)[[1, 0]], np.array([0, 1]))
    assert scores["loss"] == pytest.approx(-np.log(1e-15))
    assert (scores["ece"], scores["accuracy"], scores["roc_auc"]) == (1.0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("labels", "missing"),
    [([0, 0, 0], {"roc_auc", "pr_auc"}), ([0, 0, 1], set()), ([2], {"roc_auc", "pr_auc"})],
    ids=["one-class", "one-absent", "one-item"],
)
def test_absent_classes_make_no_nan(labels, missing):
    chances, _ = guesses(len(labels), 3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scores = all_scores(chances, np.array(labels))
    everything = set(all_scores(*CASES["five"]))
    assert everything - set(scores) == missing
    canonical_json(scores)  # refuses NaN


def test_absent_classes_are_averaged_as_scikit_learn_does():
    labels, predicted = np.array([0, 0, 1, 1]), np.array([0, 2, 1, 1])
    scores = all_scores(np.eye(4)[predicted], labels)
    assert scores["balanced_accuracy"] == pytest.approx((0.5 + 1.0) / 2)
    assert scores["recall_macro"] == pytest.approx((0.5 + 1.0 + 0.0) / 3)
    assert scores["precision_macro"] == pytest.approx((1.0 + 1.0 + 0.0) / 3)
    assert scores["f1_macro"] == pytest.approx((2 / 3 + 1.0 + 0.0) / 3)


def test_per_class_numbers_by_hand_and_odd_names():
    labels, predicted = np.array([0, 0, 1, 1]), np.array([0, 2, 1, 1])
    names = ["a.b/c", "日本 語", "", "\u202e|,"]
    table = per_class_scores(np.eye(4)[predicted], labels, names)
    assert list(table) == names
    assert table["a.b/c"] == pytest.approx(
        {"n": 2, "precision": 1.0, "recall": 0.5, "f1": 2 / 3, "roc_auc": 0.75, "pr_auc": 0.75}
    )
    assert table[""] == {"n": 0, "precision": 0.0, "f1": 0.0}
    assert table["\u202e|,"] == {"n": 0}
    canonical_json(table)


def test_monitored_scores_are_the_same_numbers():
    chances, labels = CASES["five"]
    scores = all_scores(chances, labels)
    quick = monitored("classification", chances, labels)
    assert quick == {name: scores[name] for name in ("accuracy", "balanced_accuracy", "f1_macro")}


def test_reliability_bins_by_hand():
    bins = reliability_bins(np.array([0.55, 0.65, 0.95, 1.0]), np.array([1, 0, 1, 1]), 5)
    assert bins["count"].tolist() == [0, 0, 1, 1, 2]
    assert bins["accuracy"].tolist() == [0.0, 0.0, 1.0, 0.0, 1.0]
    assert bins["confidence"].tolist() == pytest.approx([0, 0, 0.55, 0.65, 0.975])


def test_regression_scores_agree_with_scikit_learn():
    generator = np.random.default_rng(0)
    targets = generator.normal(size=200)
    values = targets + generator.normal(size=200) * 0.3
    assert point(partial(value_scores, values, targets), 200) == pytest.approx(
        {
            "mae": reference.mean_absolute_error(targets, values),
            "mse": reference.mean_squared_error(targets, values),
            "rmse": reference.root_mean_squared_error(targets, values),
            "r2": reference.r2_score(targets, values),
            "pearson_r": np.corrcoef(targets, values)[0, 1],
        }
    )


def test_the_correlation_counts_weights_as_repetitions_and_needs_values_that_differ():
    targets, values = np.array([1.0, 2.0, 4.0, 4.5]), np.array([1e6, 1e6 + 3, 1e6 + 2, 1e6 + 5])
    times = np.array([3, 1, 0, 2])
    found = value_scores(values, targets, times[np.newaxis].astype(float))["pearson_r"][0]
    repeated = (np.repeat(each, times) for each in (targets, values))
    assert found == pytest.approx(np.corrcoef(*repeated)[0, 1])
    assert value_scores(-targets, targets, np.ones((1, 4)))["pearson_r"][0] == pytest.approx(-1.0)
    for flat in (np.zeros(4), np.full(4, 0.1), np.full(4, 1e9)):
        assert np.isnan(value_scores(flat, targets, np.ones((1, 4)))["pearson_r"][0])


@pytest.mark.parametrize("offset", [1e6, -1e7])
def test_r2_is_the_same_wherever_zero_lies(offset):
    generator = np.random.default_rng(0)
    targets = generator.normal(size=500) * 0.5
    values = targets + generator.normal(size=500) * 0.1
    moved = point(partial(value_scores, values + offset, targets + offset), 500)
    assert moved["r2"] == pytest.approx(reference.r2_score(targets, values), abs=1e-6)


@pytest.mark.parametrize("targets", [[0.1, 0.1, 0.1], [0.0, 0.0], [5.0], [1e9, 1e9]], ids=str)
def test_r2_needs_targets_that_differ(targets):
    scores = point(partial(value_scores, np.zeros(len(targets)), np.array(targets)), len(targets))
    assert set(scores) == {"mae", "mse", "rmse"}


def test_an_interval_has_the_width_that_theory_says():
    chances, labels = guesses(1000, 2)
    scores = partial(class_scores, chances, labels, ece_bins=15)
    found = intervals(scores, Bootstrap(1000, 1, singles(1000)))["accuracy"]
    p = all_scores(chances, labels)["accuracy"]
    assert found["low"] < p < found["high"]
    assert found["high"] - found["low"] == pytest.approx(
        2 * 1.96 * (p * (1 - p) / 1000) ** 0.5, rel=0.1
    )


def test_intervals_repeat_with_the_seed_and_differ_with_another():
    scores = partial(class_scores, *CASES["five"], ece_bins=15)
    first, again, other = (
        intervals(scores, Bootstrap(50, seed, singles(300))) for seed in (1, 1, 2)
    )
    assert first == again
    assert first["loss"] != other["loss"]
    assert set(first) == set(all_scores(*CASES["five"]))


def test_whole_groups_are_drawn():
    # Ten groups, each all right or all wrong: the interval is as wide as for ten items, not 200.
    labels = np.repeat([0, 1], 100)
    groups = np.repeat(np.arange(10), 20)
    predicted = np.where(groups % 2 == 0, labels, 1 - labels)
    scores = partial(class_scores, np.eye(2)[predicted], labels, ece_bins=5)
    grouped = intervals(scores, Bootstrap(400, 1, groups))["accuracy"]
    alone = intervals(scores, Bootstrap(400, 1, singles(200)))["accuracy"]
    assert grouped["high"] - grouped["low"] > 3 * (alone["high"] - alone["low"])


def test_a_metric_that_most_resamples_do_not_define_has_no_interval():
    labels = np.array([1] + [0] * 30)
    chances, _ = guesses(31, 2)
    scores = partial(class_scores, chances, labels, ece_bins=5)
    assert "roc_auc" in intervals(scores, Bootstrap(200, 1, singles(31)))  # defined in about 64 %
    one_group = Bootstrap(200, 1, np.array([0] + [1] * 30))
    assert "accuracy" in intervals(scores, one_group)
    assert "roc_auc" in intervals(scores, one_group)  # both groups are drawn in half of them
    lonely = partial(class_scores, chances, np.zeros(31, dtype=int), ece_bins=5)
    assert set(intervals(lonely, Bootstrap(50, 1, singles(31)))) == {
        "accuracy",
        "balanced_accuracy",
        "precision_macro",
        "recall_macro",
        "f1_macro",
        "ece",
        "loss",
    }


def test_no_resamples_no_intervals():
    scores = partial(class_scores, *CASES["two"], ece_bins=5)
    assert intervals(scores, Bootstrap(0, 1, singles(300))) == {}


def test_many_items_are_drawn_in_portions_without_changing_the_draws(monkeypatch):
    scores = partial(class_scores, *CASES["two"], ece_bins=5)
    whole = intervals(scores, Bootstrap(40, 1, singles(300)))
    monkeypatch.setattr("pipeline.judge.resampling._CELLS_AT_ONCE", 900)
    assert intervals(scores, Bootstrap(40, 1, singles(300))) == whole


def test_one_order_of_display_from_the_main_metric_to_all():
    names = [*reversed(METRICS), "n", "per_class"]
    assert shown(names, place=1) == [
        *("accuracy", "f1_macro", "roc_auc"),
        *("mae", "r2", "pearson_r"),
    ]
    assert shown(["loss", "ece", "pr_auc", "accuracy"], place=2) == ["accuracy", "ece"]
    for place in (2, 3):
        found = shown(names, place=place)
        assert found == [name for name in METRICS if name in found]
        assert set(shown(names, place=1)) <= set(found)
    assert (main(of_task("classification")), main(of_task("regression"))) == ("accuracy", "mae")


def test_training_monitors_the_loss_and_what_it_computes():
    assert monitors("classification") == ["loss", "accuracy", "balanced_accuracy", "f1_macro"]
    assert monitors("regression") == ["loss", "mae", "rmse"]
    values = monitored("regression", np.array([[1.0], [3.0]]), np.array([2.0, 2.0]))
    assert values == {"mae": 1.0, "rmse": 1.0}
