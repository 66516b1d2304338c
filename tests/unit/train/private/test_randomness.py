"""Noise is normal, its words come from the system, and no seed has a part in it."""

import numpy as np
import pytest
from scipy.stats import kstest

from pipeline.train.private.randomness import normals, system_words, uniforms
from tests.support.private import fixed_words


def test_normal_numbers_have_the_distribution_to_the_tails():
    drawn = normals(fixed_words(1), 300_000)
    assert kstest(drawn, "norm").pvalue > 0.001
    assert np.var(drawn) == pytest.approx(1.0, abs=0.015)  # 4.7 standard errors
    assert np.mean(np.abs(drawn) > 3) == pytest.approx(0.0027, abs=0.0005)


def test_numbers_are_independent_of_their_neighbors():
    drawn = normals(fixed_words(2), 100_001)
    for lag in (1, 2, 50_000):
        assert abs(np.corrcoef(drawn[:-lag], drawn[lag:])[0, 1]) < 0.02


def test_uniform_numbers_are_above_0_and_at_most_1():
    assert uniforms(lambda count: np.zeros(count, np.uint64), 1)[0] == 2.0**-53
    assert uniforms(lambda count: np.full(count, 2**64 - 1, np.uint64), 1)[0] == 1.0
    assert kstest(uniforms(fixed_words(3), 50_000), "uniform").pvalue > 0.001


def test_the_system_gives_other_words_each_time():
    np.random.seed(0)  # noqa: NPY002 - what must not matter
    first = system_words(1000)
    np.random.seed(0)  # noqa: NPY002
    assert len(np.unique(np.concatenate([first, system_words(1000)]))) == 2000
