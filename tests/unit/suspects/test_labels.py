"""Wrong labels are named and put in order, with known answers."""

import numpy as np
import pytest

from pipeline.ground.robust import robust_deviations
from pipeline.suspects.labels import judge_classes, judge_values

FLIPPED = [3, 50, 120, 121, 200]


def planted(items=300, classes=3, *, spread=0.03, seed=0):
    """Give labels with known flips, and predictions that are sure of the true class."""
    generator = np.random.default_rng(seed)
    truth = np.arange(items) % classes
    logits = generator.normal(0.0, spread, (items, classes))
    logits[np.arange(items), truth] += 3.0
    served = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = truth.copy()
    labels[FLIPPED] = (truth[FLIPPED] + 1) % classes
    return labels.astype(np.int64), truth, served


def test_planted_flips_come_first_and_the_true_class_is_suggested():
    labels, truth, served = planted()
    found = judge_classes(labels, served)
    assert sorted(found.order()[: len(FLIPPED)]) == FLIPPED
    assert np.flatnonzero(found.is_suspect_N).tolist() == FLIPPED
    assert (found.suggested_N[FLIPPED] == truth[FLIPPED]).all()
    assert found.scores_N[FLIPPED].min() > 0.9 > 0.1 > np.delete(found.scores_N, FLIPPED).max()


def test_noise_is_estimated_for_each_pair_of_classes():
    labels, truth, served = planted()
    noise = judge_classes(labels, served).noise_KK
    assert noise.sum() == pytest.approx(1.0)
    for given in range(3):
        for true in range(3):
            share = ((labels == given) & (truth == true)).mean()
            assert noise[given, true] == pytest.approx(share, abs=1e-9)


def test_clean_labels_have_no_suspects():
    _, truth, served = planted()
    found = judge_classes(truth, served)
    assert not found.is_suspect_N.any()
    assert np.trace(found.noise_KK) == pytest.approx(1.0)


def test_the_score_is_the_margin_and_ties_keep_the_order_of_the_items():
    served = np.array([[0.9, 0.1], [0.2, 0.8], [0.2, 0.8], [0.1, 0.9], [0.3, 0.7]])
    found = judge_classes(np.array([0, 0, 0, 1, 1]), served)
    assert found.scores_N == pytest.approx([0.1, 0.8, 0.8, 0.1, 0.3])
    order = found.order().tolist()
    assert order.index(1) + 1 == order.index(2)


def test_numbers_far_from_their_predictions_come_first():
    generator = np.random.default_rng(0)
    predicted = generator.uniform(0, 100, 200)
    values = predicted + generator.normal(0, 2.0, 200)
    values[[7, 90]] += [40.0, -60.0]
    found = judge_values(values, predicted, beyond=6.0)
    assert found.order()[:2].tolist() == [90, 7]
    assert np.flatnonzero(found.is_suspect_N).tolist() == [7, 90]
    assert found.suggested_N[90] == predicted[90]
    assert found.noise_KK is None


def test_robust_deviations_are_standard_ones_of_normal_numbers_and_bear_wild_ones():
    values = np.random.default_rng(0).normal(5.0, 2.0, 20_000)
    assert robust_deviations(values).std() == pytest.approx(1.0, abs=0.02)
    values[:2000] = 1e6
    assert robust_deviations(values)[2000:].std() == pytest.approx(1.0, abs=0.2)


def test_robust_deviations_of_equal_numbers():
    assert robust_deviations(np.full(9, 3.0)).tolist() == [0.0] * 9
    mostly = robust_deviations(np.array([1.0] * 9 + [2.0]))
    assert mostly[:9].tolist() == [0.0] * 9
    assert mostly[9] == pytest.approx(10 / 1.2533)
