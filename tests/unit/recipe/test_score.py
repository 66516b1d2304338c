"""Ridge regression without an item's fold, for all strengths at once, is that by solving again."""

import numpy as np
import pytest

from pipeline.ground.seeds import derive
from pipeline.recipe.score import FOLDS, STRENGTHS, Fitted


def make(items=60, features=90, classes=3, seed=0):
    generator = np.random.default_rng(seed)
    labels = np.arange(items) % classes
    targets = np.eye(classes)[labels]
    noise = generator.normal(size=(items, features))
    values = 2 * noise + targets @ generator.normal(size=(classes, features))
    return values.astype(np.float32), targets


def alone(items):
    return [f"g{number}" for number in range(items)]


def by_solving(values, targets, groups, shown):
    """Fit without each fold, at each strength; give the losses of the best one."""
    rows, others = ((each.astype(np.float64) - values.mean(axis=0)) for each in (values, shown))
    size = values.std(axis=0) * np.sqrt(values.shape[1])
    rows, others = (np.column_stack([each / size, np.ones(len(each))]) for each in (rows, others))
    folds = np.array([derive(1, "fold", each) % FOLDS for each in groups])
    best = None
    for strength in STRENGTHS:
        own, other = np.empty_like(targets), np.empty_like(targets)
        for fold in set(folds):
            left = folds != fold
            kernel = rows[left].T @ rows[left] + strength * np.eye(rows.shape[1])
            weights = np.linalg.solve(kernel, rows[left].T @ targets[left])
            own[~left], other[~left] = rows[~left] @ weights, others[~left] @ weights
        losses = [np.square(each - targets).sum(axis=1) for each in (own, other)]
        if best is None or losses[0].mean() < best[0].mean():
            best = losses
    return best


@pytest.mark.parametrize("features", [10, 90], ids=["fewer-features", "more-features"])
def test_it_is_what_solving_for_each_fold_and_strength_gives(features):
    values, targets = make(features=features)
    shown = values + np.random.default_rng(1).normal(size=values.shape).astype(np.float32)
    fitted = Fitted(values, targets, alone(60))
    own, other = by_solving(values, targets, alone(60), shown)
    assert fitted.score.losses_N == pytest.approx(own, rel=1e-4)
    assert fitted.show(shown).losses_N == pytest.approx(other, rel=1e-4)
    assert fitted.show(values).losses_N == pytest.approx(own, rel=1e-4)


def test_features_without_a_signal_score_as_the_mean_does():
    generator = np.random.default_rng(1)
    targets = np.eye(2)[generator.integers(0, 2, 200)]
    values = generator.normal(size=(200, 5)).astype(np.float32)
    found = Fitted(values, targets, alone(200)).score
    ignorant = np.square(targets - targets.mean(axis=0)).sum(axis=1).mean()
    assert found.loss == pytest.approx(ignorant, rel=0.05)


def test_a_copy_in_the_own_group_gives_nothing_away():
    values, targets = make(features=400)
    twice, both = np.concatenate([values, values]), np.concatenate([targets, targets])
    together = Fitted(twice, both, alone(60) * 2).score
    apart = Fitted(twice, both, alone(120)).score
    once = Fitted(values, targets, alone(60)).score
    assert apart.loss < 0.5 * together.loss
    assert together.loss == pytest.approx(once.loss, rel=0.1)


def test_right_is_the_share_of_classes_that_are_told():
    values, targets = make(features=10)
    easy = values + 50 * targets @ np.random.default_rng(2).normal(size=(3, 10))
    assert Fitted(easy.astype(np.float32), targets, alone(60)).score.right_N.all()
    one = Fitted(values, targets[:, :1], alone(60)).score
    assert not one.right_N.any()


def test_a_group_that_holds_everything_is_judged_by_the_mean():
    values, targets = make()
    found = Fitted(values, targets, ["all"] * 60)
    assert np.isfinite(found.score.losses_N).all()
