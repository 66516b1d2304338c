"""A candidate is chosen where it beats the reference beyond chance, and by enough to matter."""

import numpy as np
import pytest

from pipeline.recipe.score import Score
from pipeline.recipe.trials import (
    LEAST_GAIN,
    MARGIN,
    MOST_HARM,
    NOTHING,
    judge,
    take_better,
    take_harmless,
)


def scored(losses):
    return Score(np.array(losses, dtype=float), np.array(losses) < 0.5)


BASE = np.tile([0.2, 0.4, 0.6, 0.8], 25)
NOISE = np.random.default_rng(0).normal(0, 0.1, 100)


def trial(losses, value="other"):
    return judge("a.b", value, scored(losses), scored(BASE), regression=False)


def test_the_difference_is_paired():
    found = trial(BASE - 0.05)
    assert found.difference == pytest.approx(-0.05)
    assert found.error == pytest.approx(0.0, abs=1e-9)
    assert found.accuracy == pytest.approx(0.5)
    noisy = trial(BASE + NOISE)
    assert noisy.error == pytest.approx(NOISE.std(ddof=1) / 10)


@pytest.mark.parametrize(
    ("losses", "wins"),
    [
        (BASE, False),
        (BASE - 1e-12, False),  # rounding
        (BASE - 0.5 * LEAST_GAIN * BASE.mean(), False),  # certain, and too little to matter
        (BASE - 0.05, True),
        (BASE + 0.05, False),
        (BASE - 0.5 * MARGIN * NOISE.std() / 10 + NOISE - NOISE.mean(), False),  # by chance
        (BASE - 2 * MARGIN * NOISE.std() / 10 + NOISE - NOISE.mean(), True),
    ],
)
def test_the_reference_stays_unless_another_is_clearly_better(losses, wins):
    first = trial(BASE, "first")
    assert take_better([first, trial(losses)]).value == ("other" if wins else "first")


def test_the_best_of_several_that_win_is_taken():
    trials = [trial(BASE, "first"), trial(BASE - 0.05, "good"), trial(BASE - 0.1, "better")]
    assert take_better(trials).value == "better"


@pytest.mark.parametrize(
    ("losses", "wins"),
    [
        (BASE, True),
        (BASE - 0.1, True),
        (BASE + 0.5 * MOST_HARM * BASE.mean(), False),  # little, and certain
        (BASE + 0.5 * NOTHING, True),  # nothing, and certain
        (BASE + 0.2 * NOISE.std() / 10 + NOISE - NOISE.mean(), True),  # little, and chance
        (BASE + 10 * (NOISE - NOISE.mean()), False),  # nothing, but who knows
        (BASE + 0.2, False),
    ],
)
def test_a_view_is_taken_where_it_does_no_harm(losses, wins):
    first = trial(BASE, "first")
    assert take_harmless([first, trial(losses)]).value == ("other" if wins else "first")


def test_a_line_of_the_table_has_the_interval():
    row = trial(BASE + NOISE).row(chosen=True)
    assert row["high"] - row["low"] == pytest.approx(2 * 1.96 * row["error"])
    assert row["chosen"] is True
