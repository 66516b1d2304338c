"""A private step: who is in it, how far a unit moves it, how much noise is on it.

Each test is a law of the proof; the noise is of a known generator here, and nowhere else.
"""

import dataclasses

import numpy as np
import pytest
import torch

from pipeline.ground.errors import ParamsError
from pipeline.model.head import Head
from pipeline.train.private.gradients import clipped_sums
from pipeline.train.private.mechanism import Mechanism, find_mechanism
from pipeline.train.recipe.losses import Loss
from pipeline.train.step import Batch, Learner
from tests.support.private import fixed_words, privacy
from tests.support.trainable import plan

ITEMS, FEATURES, CLASSES = 40, 6, 3


def learner(*, dropout=0.0, classes=CLASSES) -> Learner:
    head = Head(FEATURES, classes, dropout=dropout, unit=True).train()
    with torch.no_grad():
        head.weight.normal_(generator=torch.Generator().manual_seed(3))
    optimizer = torch.optim.SGD(head.parameters(), lr=1.0)
    return Learner(head, optimizer, Loss("cross_entropy", 0.0, None), lambda *_: {})


def batch(items=ITEMS, *, scale=1.0) -> Batch:
    generator = torch.Generator().manual_seed(4)
    rows = torch.randn(items, FEATURES, generator=generator) * scale
    targets = torch.randint(0, CLASSES, (items,), generator=generator)
    weights = torch.rand(items, generator=generator) * 5
    return Batch(rows, targets, weights, None, np.arange(items))


def mechanism(units_N, *, rate=1.0, multiplier=0.0, words=None, **changes) -> Mechanism:
    words = words or fixed_words(5)
    return Mechanism(privacy(**changes), np.asarray(units_N), 10, rate, multiplier, None, words)


def by_hand(own: Learner, given: Batch, units, clip) -> list[torch.Tensor]:
    """Sum the units' clipped gradients, each found by plain autograd."""
    parameters = list(own.model.parameters())
    totals = [torch.zeros_like(each) for each in parameters]
    for unit in range(int(units.max()) + 1):
        rows = units == unit
        outputs = own.model(given.inputs[rows])
        losses, _ = own.loss.by_item(outputs, given.targets_B[rows], given.weights_B[rows])
        gradients = torch.autograd.grad(losses.mean(), parameters)
        length = torch.sqrt(sum(each.square().sum() for each in gradients))
        for total, each in zip(totals, gradients, strict=True):
            total += each * min(1.0, clip / float(length))
    return totals


@pytest.mark.parametrize("units", [torch.arange(ITEMS), torch.arange(ITEMS) % 7])
@pytest.mark.parametrize("kind", ["head", "network"])
def test_sums_are_those_of_autograd_unit_by_unit(units, kind):
    own, given = learner(), batch()
    expected = by_hand(own, given, units, 0.5)
    if kind == "network":
        own = dataclasses.replace(own, model=torch.nn.Sequential(own.model))
    found = clipped_sums(own, given, units, clip=0.5)
    for mine, theirs in zip(found, expected, strict=True):
        assert torch.allclose(mine, theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("units", [torch.arange(ITEMS), torch.arange(ITEMS) // 8])
@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_one_unit_more_moves_the_sums_by_the_clip_at_most(units, scale):
    own, given, clip = learner(), batch(scale=scale), 0.01
    most = 0.0
    all_of_them = clipped_sums(own, given, units, clip=clip)
    for unit in range(int(units.max()) + 1):
        rows = units != unit
        rest = Batch(given.inputs[rows], given.targets_B[rows], given.weights_B[rows], None)
        others = clipped_sums(
            own, rest, torch.unique(units[rows], return_inverse=True)[1], clip=clip
        )
        gaps = [
            (a.double() - b.double()).square().sum()
            for a, b in zip(all_of_them, others, strict=True)
        ]
        most = max(most, float(torch.sqrt(sum(gaps))))
    assert 0.9 * clip < most < 1.0001 * clip


def test_the_noise_has_the_scale_of_the_multiplier_and_a_public_divisor():
    own = learner()
    private = mechanism(np.arange(ITEMS), multiplier=2.0, rate=0.5)
    empty = Batch(*(each[:0] for each in batch()[:3]), None, np.arange(0))
    drawn = []
    for _ in range(400):
        private._step(own, empty, plan(train={"batch_size": 20}).recipe)
        drawn += [each.grad.flatten().clone() for each in own.model.parameters()]
    noise = torch.cat(drawn)
    assert float(noise.std()) == pytest.approx(2.0 / (ITEMS * 0.5), rel=0.03)
    assert abs(float(noise.mean())) < 0.005


def test_a_step_without_noise_is_the_clipped_mean_over_the_clip():
    own, given = learner(), batch()
    expected = by_hand(own, given, torch.arange(ITEMS), 0.5)
    mechanism(np.arange(ITEMS))._step(own, given, plan().recipe)
    for parameter, total in zip(own.model.parameters(), expected, strict=True):
        assert torch.allclose(parameter.grad, total / 0.5 / ITEMS, rtol=1e-4, atol=1e-6)


def test_units_are_in_a_step_by_chance_and_whole():
    groups = np.arange(300) // 3
    private = mechanism(groups, rate=0.25)
    recipe = plan(train={"batch_size": 75}).recipe
    steps = [step for _ in range(100) for step in private._sample(np.arange(300), recipe)]
    counts = np.array([len(each) for each in steps])
    assert len(steps) == 400
    assert counts.mean() == pytest.approx(75, abs=1.5)
    assert counts.std() == pytest.approx(3 * np.sqrt(100 * 0.25 * 0.75), rel=0.15)
    assert all((np.bincount(groups[each], minlength=100) % 3 == 0).all() for each in steps)


def test_all_units_are_in_a_full_step():
    private = mechanism(np.arange(30))
    (step,) = private._sample(np.arange(30)[::-1], plan(train={"batch_size": "full"}).recipe)
    assert (step == np.arange(30)).all()


def test_the_mean_counts_units_alike_and_has_the_noise_it_says():
    rows = torch.nn.functional.normalize(torch.randn(4, 2000))
    units = np.array([0, 0, 0, 1])
    private = dataclasses.replace(mechanism(units), center=0.3)
    exact = (rows[:3].mean(0) + rows[3]) / 2
    noise = private.mean(rows) - exact
    assert float(noise.std()) == pytest.approx(0.3 / 2, rel=0.1)


def test_the_budget_is_kept_by_all_releases_together():
    from pipeline.train.private.accounting import epsilon_of

    recipe = plan(train={"batch_size": "full", "epochs": 50}).recipe
    found = find_mechanism(privacy(epsilon=3.0, center=0.2), recipe, np.arange(100))
    assert [each.steps for each in found.releases()] == [50, 1]
    assert 2.95 < epsilon_of(found.releases(), 1e-3) <= 3.0
    facts = found.facts()
    assert (facts["epsilon"], facts["unit"], facts["units"]) == (3.0, "item", 100)


def test_a_delta_that_lets_a_whole_item_through_is_refused():
    with pytest.raises(ParamsError, match=r"train\.privacy\.delta: must be below 1 / 100"):
        find_mechanism(privacy(delta=0.01), plan().recipe, np.arange(100))
