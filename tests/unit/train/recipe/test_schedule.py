"""The learning rate's shape: known points, bounds, and no step without a rate."""

import math

import pytest

from pipeline.train.recipe.params import ScheduleParams
from pipeline.train.recipe.schedule import lr_factor

NAMES = ("constant", "cosine", "one_cycle")


def curve(name, steps, *, warmup=0.0, final=0.0) -> list[float]:
    params = ScheduleParams(name=name, warmup_frac=warmup, final_frac=final)
    return [lr_factor(step, steps, params) for step in range(steps)]


def test_constant_stays_at_the_peak():
    assert curve("constant", 5, final=0.3) == [1.0] * 5


def test_cosine_falls_along_half_a_cosine():
    expected = [1.0, (1 + math.sqrt(0.5)) / 2, 0.5, (1 - math.sqrt(0.5)) / 2, 0.0]
    assert curve("cosine", 5) == pytest.approx(expected)


def test_the_last_step_has_the_final_share():
    assert curve("cosine", 7, warmup=0.3, final=0.1)[-1] == pytest.approx(0.1)
    assert curve("one_cycle", 7, warmup=0.3, final=0.1)[-1] == pytest.approx(0.1)


def test_linear_warmup_rises_in_even_steps_to_the_peak():
    for name in ("constant", "cosine"):
        assert curve(name, 8, warmup=0.5)[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])


def test_one_cycle_warms_up_along_a_cosine_from_a_25th():
    rates = curve("one_cycle", 8, warmup=0.5)
    assert rates[4] == 1.0
    assert rates[1] == pytest.approx(0.04 + 0.96 * (1 - math.cos(0.4 * math.pi)) / 2)
    assert 0.04 < rates[0] < 0.15


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("steps", [1, 2, 3, 10, 101])
@pytest.mark.parametrize("warmup", [0.0, 0.1, 0.5, 1.0])
def test_every_step_has_a_rate_of_at_most_the_peak(name, steps, warmup):
    rates = curve(name, steps, warmup=warmup, final=0.01)
    assert all(0.0 < rate <= 1.0 for rate in rates)
    top = rates.index(max(rates))
    assert rates[: top + 1] == sorted(rates[: top + 1])
    assert rates[top:] == sorted(rates[top:], reverse=True)


@pytest.mark.parametrize("name", NAMES)
def test_only_a_last_step_with_final_share_0_has_no_rate(name):
    assert all(rate > 0.0 for rate in curve(name, 20, warmup=0.2)[:-1])


@pytest.mark.parametrize("name", NAMES)
def test_a_single_step_has_the_peak(name):
    assert curve(name, 1) == [1.0]


@pytest.mark.parametrize("step", [-1, 10], ids=["before", "after"])
def test_a_step_outside_the_training_is_a_bug(step):
    params = ScheduleParams(name="cosine", warmup_frac=0.0, final_frac=0.0)
    with pytest.raises(ValueError, match=r"step must be in \[0, 10\)"):
        lr_factor(step, 10, params)
