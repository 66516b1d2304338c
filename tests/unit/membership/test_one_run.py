"""The bound of epsilon from one run: closed forms, and coins guessed with a known epsilon."""

import math

import numpy as np
import pytest

from pipeline.membership.one_run import Guesses, choose_made, epsilon_bound, guess, p_value


def test_without_privacy_at_stake_guesses_are_fair_coins():
    assert p_value(Guesses(10, 10, 10), 0.0, 0.0) == pytest.approx(2**-10)
    assert p_value(Guesses(10, 10, 0), 0.0, 0.0) == 1.0


@pytest.mark.parametrize("made", [10, 100, 1000])
def test_when_all_guesses_are_right_the_bound_has_a_closed_form(made):
    fair = 0.05 ** (1 / made)
    wanted = math.log(fair / (1 - fair))
    assert epsilon_bound(Guesses(5000, made, made), 0.0) == pytest.approx(wanted, abs=1e-6)


def test_a_delta_lowers_the_bound_by_the_part_that_it_may_add():
    found = Guesses(1000, 100, 95)
    assert epsilon_bound(found, 1e-3) < epsilon_bound(found, 1e-5) < epsilon_bound(found, 0.0)
    # one guess: P[W' = 0] / 1 is the largest mean, so 2 m delta (1 - q) is added
    added = p_value(Guesses(7, 1, 1), 1.0, 0.01) - p_value(Guesses(7, 1, 1), 1.0, 0.0)
    assert added == pytest.approx(2 * 7 * 0.01 * (1 - 1 / (1 + math.exp(-1.0))))


def test_half_of_the_guesses_right_bounds_nothing():
    assert epsilon_bound(Guesses(1000, 200, 100), 1e-5) == 0.0


def test_randomized_response_is_bounded_below_its_own_epsilon():
    """Answers that are right with probability e^eps / (1 + e^eps) have exactly this epsilon."""
    generator, epsilon, units = np.random.default_rng(1), 1.0, 600
    bounds = []
    for _ in range(60):
        coins = generator.random(units) < 0.5
        is_true = generator.random(units) < 1 / (1 + math.exp(-epsilon))
        answers = np.where(is_true, coins, ~coins).astype(float)
        bounds.append(epsilon_bound(guess(answers, coins, 300), 0.0))
    assert np.mean(np.array(bounds) > epsilon) <= 0.15
    assert np.median(bounds) > 0.6


def test_the_number_of_guesses_follows_where_a_rehearsal_tells_apart():
    generator = np.random.default_rng(2)
    coins = generator.random(1000) < 0.5
    clear = np.where(coins, 1.0, -1.0) + generator.normal(0, 0.1, 1000)
    assert choose_made(clear, coins, 1e-5) > 600
    few = generator.normal(0, 0.1, 1000)
    few[:60] = np.where(coins[:60], 5.0, -5.0)
    assert choose_made(few, coins, 1e-5) < 200
