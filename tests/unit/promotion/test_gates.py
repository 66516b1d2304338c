"""Each gate passes and refuses where it should, and says by how much."""

import pytest
from pydantic import ValidationError

from pipeline.judge.paired import Gain
from pipeline.promotion.contender import Contender, Unfit, check_same_task
from pipeline.promotion.gates import Measured, judge_alone, judge_paired
from pipeline.promotion.history import _tell_gates
from pipeline.version.params import RegistryParams
from tests.support.published import REGISTRY

BETTER = Gain(0.9, 0.8, 0.1, 0.05, 0.15)
GAINS = {
    "accuracy": BETTER,
    "recall.a": Gain(0.9, 0.8, 0.1, 0.0, 0.2),
    "recall.b": Gain(0.9, 0.9, 0.0, 0.0, 0.0),
    "ece": Gain(0.1, 0.05, -0.05, -0.1, 0.0),
}


def rules(**values):
    return REGISTRY.model_copy(update=values)


OVERALL = {
    "better": (BETTER, {}, True, "gain +0.1000 (95 %: +0.0500 to +0.1500), better beyond noise"),
    "worse": (Gain(0.7, 0.8, -0.1, -0.15, -0.05), {}, False, "worse beyond noise"),
    "equal": (Gain(0.8, 0.8, 0.0, 0.0, 0.0), {}, False, "must be above 0, it lacks 0.0000"),
    "noise": (Gain(0.82, 0.8, 0.02, -0.03, 0.07), {}, False, "above 0, it lacks 0.0300"),
    "not much worse": (
        Gain(0.82, 0.8, 0.02, -0.03, 0.07),
        {"min_gain": -0.04},
        True,
        "above -0.04",
    ),
    "not much worse, but worse": (
        Gain(0.79, 0.8, -0.01, -0.03, 0.01),
        {"min_gain": -0.04},
        False,
        "must be better on average",
    ),
    "not enough": (BETTER, {"min_gain": 0.06}, False, "above 0.06, it lacks 0.0100"),
    "not defined": (Gain(0.8, 0.8, 0.0, None, None), {}, False, "not defined on the test items"),
}


@pytest.mark.parametrize(("gain", "values", "is_passed", "text"), OVERALL.values(), ids=OVERALL)
def test_the_metric_must_be_better_beyond_noise(gain, values, is_passed, text):
    verdict = judge_paired(rules(**values), GAINS | {"accuracy": gain}, Measured())
    assert verdict.is_passed is is_passed
    assert text in verdict.reason
    assert verdict.reason.startswith("accuracy")


BOUNDS = {
    "a class falls": (
        {"recall.b": Gain(0.8, 0.9, -0.1, -0.2, 0.0)},
        {},
        "recall of 'b', fall 0.1, at most 0.05, off by 0.05",
    ),
    "a class falls to the limit": ({"recall.b": Gain(0.85, 0.9, 0.85 - 0.9, -0.1, 0.0)}, {}, None),
    "a class may fall": (
        {"recall.b": Gain(0.1, 0.9, -0.8, -0.9, -0.7)},
        {"max_class_drop": None},
        None,
    ),
    "floor": ({}, {"min_class_recall": 0.95}, "recall of 'a' 0.9, at least 0.95, off by 0.05"),
    "calibration": ({}, {"max_ece": 0.08}, "calibration error 0.1, at most 0.08, off by 0.02"),
    "calibration rises": ({}, {"max_ece_rise": 0.01}, "rise 0.05, at most 0.01, off by 0.04"),
    "size": ({}, {"max_bytes": 900}, "bytes of the model 1000, at most 900, off by 100"),
    "latency": ({}, {"max_latency_ms": 7.5}, "ms for one item 8, at most 7.5, off by 0.5"),
    "size is enough": ({}, {"max_bytes": 1000, "max_latency_ms": 8.0}, None),
}


@pytest.mark.parametrize(("gains", "values", "text"), BOUNDS.values(), ids=BOUNDS)
def test_bounds_hold_for_one_that_is_better(gains, values, text):
    verdict = judge_paired(rules(**values), GAINS | gains, Measured(1000, 8.0))
    assert verdict.is_passed is (text is None)
    if text:
        assert text in verdict.reason
        assert "accuracy" not in verdict.reason, "what passed is no reason"


def test_all_that_failed_is_told():
    worse = GAINS | {"accuracy": Gain(0.7, 0.8, -0.1, -0.15, -0.05)}
    reason = judge_paired(rules(max_bytes=1), worse, Measured(3)).reason
    assert reason.split("; ")[1] == "bytes of the model 3, at most 1, off by 2"


def test_without_a_champion_the_bounds_alone_count():
    scores = {"accuracy": 0.1, "recall.a": 0.2, "ece": 0.3}
    assert judge_alone(rules(max_ece_rise=0.0), scores, Measured()).is_passed
    verdict = judge_alone(rules(min_class_recall=0.5, max_ece=0.1), scores, Measured())
    assert [gate.name for gate in verdict.gates if not gate.is_passed] == ["recall.a", "ece"]


def test_what_was_not_measured_does_not_pass():
    verdict = judge_alone(rules(max_latency_ms=5.0), {}, Measured())
    assert verdict.reason == "ms for one item: not measured"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("metric", "acuracy"),
        ("metric", "ece_uncalibrated"),
        ("promote", "always"),
        ("confidence", 1.0),
        ("bootstrap", 10),
        ("min_items", 0),
        ("max_class_drop", 1.5),
        ("max_bytes", 0),
        ("max_latency_ms", 0.0),
    ],
)
def test_rules_that_cannot_work_are_refused(field, value):
    with pytest.raises(ValidationError, match=field):
        RegistryParams(**(REGISTRY.model_dump() | {field: value}))


def test_of_many_classes_that_fall_the_reason_names_a_few_and_counts_the_rest():
    fallen = {f"recall.species {at}": Gain(0.0, 1.0, -1.0, -1.0, -1.0) for at in range(1000)}
    verdict = judge_paired(rules(max_class_drop=0.1), {"accuracy": BETTER} | fallen, Measured())
    assert len(verdict.reason) < 400
    assert verdict.reason.endswith("; and 995 more gates")
    lines = _tell_gates(verdict.as_json())
    assert (len(lines), lines[-1]) == (21, "and 981 more gates, 980 of them FAILED")
    assert all(line.startswith("FAILED  recall of") for line in lines[:-1])


def test_classes_that_differ_are_named_by_a_few_and_a_count():
    new, old = (
        Contender(
            "",
            "1",
            "",
            {"classes": [f"{name} {at:04}" for at in range(1000)]},
            frozenset(),
            frozenset(),
        )
        for name in ("plant", "beast")
    )
    with pytest.raises(Unfit) as caught:
        check_same_task(new, old)
    assert str(caught.value).count("and 995 more") == 2
    assert len(str(caught.value)) < 300
