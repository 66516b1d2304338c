"""Names and values fit what MLflow takes, no two names fall together, and cuts are told."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.track.describe import describe_run, run_name
from pipeline.track.runs import cut, escape, leaves, metric_name, metric_points, param_text

ACCEPTED = re.compile(r"^[/\w.\- :]+$", re.ASCII)


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("accuracy", "accuracy"),
        ("mono crystalline-2", "mono crystalline-2"),
        ("a/b", "a:2Fb"),
        ("50 %", "50 :25"),
        (" x ", ":20x:20"),
        ("..", ":2E:2E"),
        ("a:b", "a:3Ab"),
        ("\u00e9", ":C3:A9"),
        ("", ":"),
    ],
)
def test_class_names_in_metric_names(key, name):
    assert escape(key) == name


@given(st.text(), st.text())
def test_names_are_accepted_and_never_fall_together(one, other):
    assert ACCEPTED.fullmatch(escape(one))
    assert (escape(one) == escape(other)) == (one == other)


@given(st.lists(st.text(max_size=300), min_size=1, max_size=3))
def test_long_names_are_cut_to_what_fits(keys):
    assert len(metric_name(*keys)) <= 250


def test_long_names_that_differ_at_their_end_stay_different():
    assert metric_name("x" * 300 + "a") != metric_name("x" * 300 + "b")


def test_numbers_of_nested_metrics_become_points():
    metrics = {"n": 8, "ci95": {"accuracy": {"low": 0.5}}, "r2": None, "note": "x", "ok": True}
    found = [(point.name, point.value, point.step) for point in metric_points(metrics, time_ms=1)]
    assert found == [("n", 8.0, 0), ("ci95/accuracy/low", 0.5, 0)]


def test_leaves_keep_their_order_and_keys():
    assert list(leaves({"b": {"y": 1, "x": {}}, "a": [1]})) == [(("b", "y"), 1), (("a",), [1])]


@pytest.mark.parametrize(
    ("value", "text"),
    [("word", "word"), (1e-05, "1e-05"), (None, "null"), (True, "true"), ([0, 0.5], "[0, 0.5]")],
)
def test_params_are_words_or_json(value, text):
    assert param_text(value) == text
    assert isinstance(value, str) or json.loads(text) == value


def test_a_cut_text_says_how_long_it_was():
    assert cut("x" * 10, 10) == "x" * 10
    assert cut("x" * 6001, 6000).endswith("x ... (6001 characters)")
    assert len(cut("x" * 6001, 6000)) == 6000


PARAMS = {"weights": {"architecture": "resnet18"}, "train": {"strategy": "full"}}


def test_a_run_is_named_after_what_it_is_or_after_its_experiment(monkeypatch):
    assert run_name(PARAMS, "0123456789") == "full-0123456-resnet18"
    monkeypatch.setenv("DVC_EXP_NAME", "warm-bee")
    assert run_name(PARAMS, "0123456789") == "warm-bee"


def test_the_description_has_the_numbers_and_the_way_back():
    metrics = {
        "accuracy": 0.85,
        "n": 656,
        "baseline": {"accuracy": 0.7},
        "ci95": {"accuracy": {"low": 0.82, "high": 0.88}},
    }
    text = describe_run(PARAMS, metrics, key="k" * 64)
    assert "**resnet18**, strategy `full`, 656 test items" in text
    assert "| accuracy | 0.8500 | 0.8200 to 0.8800 | 0.7000 |" in text
    assert "git checkout" in text
    assert "Without transfer" not in text


def test_the_description_says_what_a_plain_model_comes_to():
    gain = {"value": -0.01, "low": -0.02, "high": 0.005}
    plain = {"name": "tfidf", "accuracy": 0.86, "gain": {"accuracy": gain}}
    text = describe_run(PARAMS, {"accuracy": 0.85, "n": 656, "beside": plain}, key="k" * 64)
    assert "Without transfer: accuracy by tfidf 0.8600 (gain -0.0200 to +0.0050); tran" in text
