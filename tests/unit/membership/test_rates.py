"""Rates, areas and intervals: known answers."""

import numpy as np
import pytest

from pipeline.membership.rates import auc, exact_interval, judge, roc


def test_the_curve_counts_both_sides_at_each_distinct_score():
    curve = roc(np.array([3.0, 2.0]), np.array([2.0, 1.0]))
    assert curve.caught_P.tolist() == [0, 1, 2, 2]
    assert curve.alarms_P.tolist() == [0, 0, 1, 2]


def test_the_area_is_the_chance_that_a_member_stands_higher():
    area, low, high = auc(np.array([3.0, 2.0]), np.array([2.0, 1.0]))
    assert area == pytest.approx(0.875)
    assert 0 <= low < area < high <= 1


@pytest.mark.parametrize(
    ("hits", "of", "low", "high"),
    [
        (0, 10, 0.0, 0.3085),
        (5, 10, 0.1871, 0.8129),
        (10, 10, 0.6915, 1.0),
        (1, 100, 0.00025, 0.0545),
    ],
)
def test_exact_intervals_are_those_of_the_tables(hits, of, low, high):
    assert exact_interval(hits, of) == pytest.approx((low, high), abs=6e-5)


def test_a_rate_takes_no_more_false_alarms_than_asked():
    others = np.arange(1000.0)
    found = judge(np.full(50, 989.5), others)["tpr_at_fpr"]
    assert (found["1_in_100"]["alarms"], found["1_in_100"]["tpr"]) == (10, 1.0)
    assert (found["1_in_1000"]["alarms"], found["1_in_1000"]["tpr"]) == (1, 0.0)
    assert found["1_in_100"]["found"]
    assert not found["1_in_1000"]["found"]


def test_too_few_others_for_a_rate_are_told():
    found = judge(np.arange(200.0), np.arange(200.0))["tpr_at_fpr"]
    assert found["1_in_100"]["possible"]
    assert not found["1_in_1000"]["possible"]


def test_scores_of_one_kind_are_within_chance():
    generator = np.random.default_rng(0)
    trials = [judge(generator.normal(size=800), generator.normal(size=800)) for _ in range(100)]
    assert sum(each["tpr_at_fpr"]["1_in_100"]["found"] for each in trials) <= 1
    covered = [each["auc_ci95"]["low"] < 0.5 < each["auc_ci95"]["high"] for each in trials]
    assert 88 <= sum(covered) <= 100
