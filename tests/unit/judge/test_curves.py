"""Curves pass through known points, and the areas under them are the reported numbers."""

import numpy as np
import pytest
from sklearn import metrics as reference

from pipeline.judge.curves import confusion_counts, mean_pr, mean_roc, pr_curves, roc_curves

LABELS = np.array([0, 0, 1, 1, 1])
SCORES = np.array([[0.9, 0.1], [0.4, 0.6], [0.4, 0.6], [0.2, 0.8], [0.7, 0.3]])


def many(items=500, classes=4) -> tuple[np.ndarray, np.ndarray, list[str]]:
    generator = np.random.default_rng(0)
    labels = generator.integers(0, classes, items)
    logits = generator.normal(size=(items, classes)).round(1)
    logits[np.arange(items), labels] += 1.0
    table = np.exp(logits)
    return table / table.sum(axis=1, keepdims=True), labels, list("abcd")[:classes]


def test_a_roc_curve_by_hand():
    fpr, tpr = roc_curves(SCORES, LABELS, ["no", "yes"])["yes"]
    assert fpr.tolist() == [0, 0, 1 / 2, 1 / 2, 1]
    assert tpr.tolist() == pytest.approx([0, 1 / 3, 2 / 3, 1, 1])


def test_a_precision_curve_by_hand():
    recall, precision = pr_curves(SCORES, LABELS, ["no", "yes"])["yes"]
    assert recall.tolist() == pytest.approx([1 / 3, 2 / 3, 1, 1])
    assert precision.tolist() == pytest.approx([1, 2 / 3, 3 / 4, 3 / 5])


def test_areas_are_those_of_scikit_learn():
    chances, labels, names = many()
    roc, pr = roc_curves(chances, labels, names), pr_curves(chances, labels, names)
    for k, name in enumerate(names):
        assert np.trapezoid(roc[name][1], roc[name][0]) == pytest.approx(
            reference.roc_auc_score(labels == k, chances[:, k])
        )
        recall, precision = pr[name]
        assert float((np.diff(recall, prepend=0.0) * precision).sum()) == pytest.approx(
            reference.average_precision_score(labels == k, chances[:, k])
        )


def test_mean_curves_have_the_mean_area_and_the_ends():
    chances, labels, names = many()
    roc, pr = roc_curves(chances, labels, names), pr_curves(chances, labels, names)
    table = mean_roc(roc)
    assert list(table) == ["fpr", "tpr"]
    assert np.trapezoid(table["tpr"], table["fpr"]) == pytest.approx(
        reference.roc_auc_score(np.eye(4)[labels], chances, average="macro"), abs=2e-3
    )
    assert table["tpr"].iloc[-1] == 1.0
    assert table["tpr"].is_monotonic_increasing
    table = mean_pr(pr)
    assert list(table) == ["recall", "precision"]
    assert np.trapezoid(table["precision"], table["recall"]) == pytest.approx(
        reference.average_precision_score(np.eye(4)[labels], chances, average="macro"), abs=5e-3
    )


def test_classes_without_items_on_both_sides_have_no_curve():
    chances, labels, names = many()
    present = np.where(labels == 3, 0, labels)
    assert list(roc_curves(chances, present, names)) == ["a", "b", "c"]
    assert list(pr_curves(chances, present, names)) == ["a", "b", "c"]
    alone = np.zeros(len(labels), dtype=int)
    assert roc_curves(chances, alone, names) == {}
    assert len(mean_roc({})) == 0
    assert len(mean_pr({})) == 0


def test_confusion_counts_by_hand():
    table = confusion_counts(np.array([0, 0, 2, 2]), np.array([0, 1, 2, 0]), 3)
    assert table.tolist() == [[1, 1, 0], [0, 0, 0], [1, 0, 1]]
