"""The accountant: published examples, laws, and the noise that is found from a budget."""

import math

import pytest
from scipy.stats import norm

from pipeline.ground.errors import ParamsError
from pipeline.train.private.accounting import Release, epsilon_of, find_multiplier


@pytest.mark.parametrize(
    ("release", "delta", "expected"),
    [
        (Release(1.5, 0.05, 100), 1e-6, 1.95385),
        (Release(0.8, 0.001, 1000), 1e-6, 0.47777),
        (Release(1.5, 0.04, 2249), 1e-5, 6.77740),
    ],
)
def test_published_examples_of_the_library(release, delta, expected):
    found = epsilon_of([release], delta)
    assert found == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("multiplier", [0.5, 1.0, 4.0])
def test_one_gaussian_sum_has_the_epsilon_of_theory(multiplier):
    found = epsilon_of([Release(multiplier, 1.0, 1)], 1e-5)
    mu = 1 / multiplier  # Balle and Wang (2018), theorem 8

    def delta(epsilon):
        low = norm.cdf(mu / 2 - epsilon / mu)
        return low - math.exp(epsilon) * norm.cdf(-mu / 2 - epsilon / mu)

    assert delta(found) <= 1e-5
    assert delta(found - 0.03) > 1e-5


def test_many_sums_of_all_tell_as_much_as_one_of_less_noise():
    many = epsilon_of([Release(10.0, 1.0, 99), Release(10.0, 1.0, 1)], 1e-5)
    assert many == pytest.approx(epsilon_of([Release(1.0, 1.0, 1)], 1e-5), rel=1e-6)


def test_sampling_and_noise_hide_and_steps_tell():
    base = epsilon_of([Release(1.0, 0.1, 100)], 1e-5)
    assert epsilon_of([Release(1.0, 0.05, 100)], 1e-5) < base
    assert epsilon_of([Release(1.5, 0.1, 100)], 1e-5) < base
    assert epsilon_of([Release(1.0, 0.1, 200)], 1e-5) > base
    assert epsilon_of([Release(1.0, 0.1, 100), Release(5.0, 1.0, 1)], 1e-5) > base


@pytest.mark.parametrize(("rate", "beside"), [(1.0, ()), (0.1, (Release(3.0, 1.0, 1),))])
def test_the_multiplier_is_the_least_that_keeps_to_the_budget(rate, beside):
    found = find_multiplier(2.0, 1e-5, rate=rate, steps=50, beside=beside)
    assert epsilon_of([Release(found, rate, 50), *beside], 1e-5) <= 2.0
    assert epsilon_of([Release(found * 0.99, rate, 50), *beside], 1e-5) > 2.0


def test_a_budget_that_others_have_spent_is_refused():
    with pytest.raises(ParamsError, match=r"train\.privacy\.epsilon: is too small for 50 steps"):
        find_multiplier(1.0, 1e-5, rate=1.0, steps=50, beside=[Release(0.5, 1.0, 1)])
