"""The audit finds a leak where there is one, and none where there is none: generated features."""

import numpy as np
import pytest
import torch

from pipeline.membership.coins import flip, halve
from pipeline.membership.likelihood import log_likelihood
from pipeline.membership.one_run import choose_made, epsilon_bound, guess
from pipeline.membership.params import AuditParams
from pipeline.membership.rates import judge
from pipeline.membership.shadows import Shadows, train_shadows

ITEMS, FEATURES, HEADS, DELTA = 1200, 400, 16, 1e-5
CANARIES = 150


def params(**changes) -> AuditParams:
    values = {"heads": HEADS, "epochs": 30, "lr": 0.03, "members": 1000, "shown": 10}
    return AuditParams(**{**values, **changes})


def items(seed):
    """Give features as `Head` scales them, and labels that follow from a few of them."""
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randn(ITEMS, FEATURES, generator=generator) / FEATURES**0.5
    return rows, (rows[:, :20].sum(dim=1) > 0).long()


@pytest.fixture(scope="module")
def planted():
    """Items of which the first ones are canaries: their labels are wrong."""
    rows, labels = items(0)
    labels[:CANARIES] = 1 - labels[:CANARIES]
    inside = halve(np.arange(ITEMS), HEADS, np.random.default_rng(1))
    generator = np.random.default_rng(2)
    shadows = train_shadows(rows, labels, inside, outputs=2, params=params(), generator=generator)
    return rows, labels, shadows


def fit(rows, labels, inside, *, steps=300, lr=0.5):
    """Train one head by plain torch; give what it says of all items."""
    layer = torch.nn.Linear(rows.shape[1], 2)
    torch.nn.init.zeros_(layer.weight)
    torch.nn.init.zeros_(layer.bias)
    optimizer = torch.optim.Adam(layer.parameters(), lr=lr)
    for _ in range(steps):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(layer(rows[inside]), labels[inside]).backward()
        optimizer.step()
    return layer


def scores_of(layer, planted):
    rows, labels, shadows = planted
    with torch.no_grad():
        fits = log_likelihood(layer(rows), labels).numpy()
    return shadows.scores(fits, np.arange(ITEMS))


def bound(scores, inside, shadows):
    rehearsal = shadows.without(0).scores(shadows.fits_SN[0], np.arange(ITEMS))
    made = choose_made(rehearsal, shadows.inside_SN[0], DELTA)
    return epsilon_bound(guess(scores, inside, made), DELTA)


def test_a_head_that_learned_canaries_by_heart_is_found(planted):
    inside = flip(np.arange(ITEMS), np.random.default_rng(3))
    scores = scores_of(fit(planted[0], planted[1], torch.from_numpy(inside)), planted)
    found = judge(scores[inside], scores[~inside])
    at = found["tpr_at_fpr"]["1_in_100"]
    assert at["found"]
    assert at["ci95"]["low"] > 0.05
    assert found["auc_ci95"]["low"] > 0.6
    assert bound(scores, inside, planted[2]) > 1.0
    canaries = np.arange(ITEMS) < CANARIES
    told = judge(scores[canaries & inside], scores[canaries & ~inside])
    assert told["auc"] > found["auc"]


def test_a_head_of_other_items_is_within_chance(planted):
    """Coins were flipped, and the head saw none of the items: nothing can be told."""
    others, labels = items(9)
    layer = fit(others, labels, torch.arange(ITEMS) < ITEMS // 2)
    scores = scores_of(layer, planted)
    found, bounds = [], []
    for seed in range(20):
        inside = flip(np.arange(ITEMS), np.random.default_rng(100 + seed))
        told = judge(scores[inside], scores[~inside])
        found.append(told["tpr_at_fpr"]["1_in_100"]["found"])
        bounds.append(bound(scores, inside, planted[2]))
        assert abs(told["auc"] - 0.5) < 0.06
    assert sum(found) <= 1
    assert np.mean(np.array(bounds) > 0) <= 0.15


def test_heads_know_nothing_of_each_other():
    rows, labels = items(4)
    inside = halve(np.arange(ITEMS), 8, np.random.default_rng(5))
    found = [
        train_shadows(
            rows,
            labels,
            chosen,
            outputs=2,
            params=params(epochs=3),
            generator=np.random.default_rng(6),
        ).fits_SN
        for chosen in (inside, inside[3:4])
    ]
    np.testing.assert_allclose(found[0][3], found[1][0], atol=1e-5)
    assert np.abs(found[0][2] - found[0][3]).max() > 1e-2


def test_values_are_learned_by_the_half_that_is_in():
    rows, _ = items(7)
    noise = torch.randn(ITEMS, generator=torch.Generator().manual_seed(8))
    inside = halve(np.arange(ITEMS), 8, np.random.default_rng(5))
    found = train_shadows(
        rows, noise, inside, outputs=1, params=params(), generator=np.random.default_rng(6)
    )
    assert found.fits_SN[inside].mean() > found.fits_SN[~inside].mean() + 0.05


def test_the_score_is_the_likelihood_over_what_heads_of_both_kinds_expect():
    inside = np.array([[True], [True], [False], [False]])
    shadows = Shadows(inside, np.log([[0.9], [0.7], [0.5], [0.3]]))
    row = np.array([0])
    assert shadows.scores(np.log([0.6]), row) == pytest.approx([0.0])
    assert shadows.scores(np.log([0.3]), row) == pytest.approx([np.log(0.5)])
    assert shadows.expected_outside(row) == pytest.approx([0.4])


def test_coins_take_units_whole_and_halves_are_even():
    units = np.array([0, 1, 1, 2, 0, 3])
    sides = halve(units, 10, np.random.default_rng(0))
    assert (sides.sum(axis=0) == 5).all()
    assert (sides[:, 0] == sides[:, 4]).all()
    assert (sides[:, 1] == sides[:, 2]).all()
    coins = flip(np.repeat(np.arange(2000), 2), np.random.default_rng(0))
    assert (coins[::2] == coins[1::2]).all()
    assert abs(coins.mean() - 0.5) < 0.04
