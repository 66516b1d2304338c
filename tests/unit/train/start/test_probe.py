"""The probe is the optimum of a convex loss, at the strength that held-out items like best."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from pipeline.ground.seeds import deal
from pipeline.train.recipe.losses import Loss
from pipeline.train.start.probe import FOLDS, STRENGTHS, ProbeItems, fit_probe, softening

CROSS_ENTROPY = Loss("cross_entropy", 0.1, None)


def make(items=120, features=300, classes=3, noise=1.0, seed=0):
    generator = np.random.default_rng(seed)
    labels = np.arange(items) % classes
    centers = generator.normal(size=(classes, features))
    rows = (centers[labels] + noise * generator.normal(size=(items, features))) / features**0.5
    return ProbeItems(
        torch.from_numpy(rows.astype(np.float32)),
        torch.from_numpy(labels),
        torch.ones(items),
        deal([str(number) for number in range(items)], FOLDS, 1, "probe"),
    )


@pytest.mark.parametrize("features", [20, 300], ids=["fewer-features", "more-features"])
def test_it_is_the_optimum_that_scikit_learn_finds(features):
    items = make(features=features, noise=4.0)
    found = fit_probe(items, CROSS_ENTROPY, 3)
    rows, labels = items.scaled_ND.numpy().astype(np.float64), items.targets_N.numpy()
    judge = LogisticRegression(C=1 / (found.strength * len(rows)), tol=1e-8, max_iter=10_000)
    judge.fit(rows, labels)
    logits = rows @ found.weight_KD.numpy().T.astype(np.float64) + found.bias_K.numpy()
    wanted = judge.predict_log_proba(rows)
    got = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    assert got == pytest.approx(wanted, abs=0.02)


def test_the_strength_is_the_one_that_held_out_items_like_best():
    easy, hard = (fit_probe(make(noise=each), CROSS_ENTROPY, 3) for each in (0.5, 30.0))
    assert easy.strength < hard.strength
    for each in (easy, hard):
        assert each.losses_S[STRENGTHS.index(each.strength)] == min(each.losses_S)
        assert float(each.losses_N.mean()) == pytest.approx(min(each.losses_S), rel=1e-6)


def test_held_out_losses_are_of_items_that_were_not_fitted_to():
    items = make(features=300, noise=1e6)  # labels that nothing tells
    found = fit_probe(items, CROSS_ENTROPY, 3)
    assert min(found.losses_S) > 0.95 * np.log(3)


def test_weights_count_as_copies():
    items = make(noise=4.0)
    weights = torch.ones(120)
    weights[:30] = 0.0
    weighed = ProbeItems(items.scaled_ND, items.targets_N, weights, items.folds_N)
    fewer = ProbeItems(
        items.scaled_ND[30:], items.targets_N[30:], torch.ones(90), items.folds_N[30:]
    )
    one, other = (fit_probe(each, CROSS_ENTROPY, 3) for each in (weighed, fewer))
    assert one.strength == other.strength
    assert torch.allclose(one.weight_KD, other.weight_KD, atol=0.05)


def test_a_value_is_fitted_too():
    items = make()
    values = items.scaled_ND[:, 0] * 3 + 1
    found = fit_probe(
        ProbeItems(items.scaled_ND, values, items.weights_N, items.folds_N), Loss("mse", 0, None), 1
    )
    fitted = items.scaled_ND @ found.weight_KD.T + found.bias_K
    assert float((fitted[:, 0] - values).square().mean()) < 0.1 * float(values.var())


@pytest.mark.parametrize("noise", [0.2, 1.0, 3.0], ids=["sure", "easy", "hard"])
def test_a_root_of_the_softening_makes_outputs_as_unsure_as_of_held_out_items(noise):
    items = make(noise=noise)
    found = fit_probe(items, CROSS_ENTROPY, 3)
    factor = softening(found, items, CROSS_ENTROPY)
    logits = factor**0.5 * (items.scaled_ND @ found.weight_KD.T + found.bias_K)
    fitted = torch.nn.functional.cross_entropy(logits, items.targets_N)
    assert 0.05 < factor < 1
    assert float(fitted) == pytest.approx(min(found.losses_S), abs=1e-4)


def test_outputs_of_a_probe_that_knows_nothing_are_not_zero():
    items = make(noise=1e6)
    found = fit_probe(items, CROSS_ENTROPY, 3)
    assert softening(found, items, CROSS_ENTROPY) >= 0.05


def test_a_probe_that_learned_nothing_by_heart_is_not_softened():
    items = make(items=4000, features=5, noise=4.0)
    found = fit_probe(items, CROSS_ENTROPY, 3)
    assert softening(replace(found, losses_S=(0.0,)), items, CROSS_ENTROPY) == 1.0


def test_a_value_is_not_softened():
    items = make()
    values = items.scaled_ND[:, 0] * 3 + 1
    items, loss = replace(items, targets_N=values), Loss("mse", 0, None)
    assert softening(fit_probe(items, loss, 1), items, loss) == 1.0


def test_an_item_s_fold_depends_on_its_name_alone():
    names = [str(number) for number in range(400)]
    folds = deal(names, FOLDS, 1, "probe")
    assert np.array_equal(deal(names[::-1], FOLDS, 1, "probe"), folds[::-1])
    assert set(np.bincount(folds, minlength=FOLDS) // 60) <= {1, 2}
