"""The summary of `rootstock repro` has what a plain model comes to, where there is one."""

import json

import pytest

from pipeline.commands.summary import (
    BUNDLE,
    METRICS,
    NORMALIZATION,
    PAGE,
    PLOTS,
    PUBLISHED,
    summarize,
)

GAIN = {"value": -0.01, "low": -0.03, "high": 0.01}
PLAIN = {"name": "tfidf", "accuracy": 0.82, "gain": {"accuracy": GAIN}}
FOUND = {"accuracy": 0.81, "n": 50, "baseline": {"accuracy": 0.6}}


@pytest.mark.parametrize(
    ("found", "line", "warning"),
    [
        (FOUND, "baseline 0.6000", False),
        (
            FOUND | {"beside": PLAIN},
            "baseline 0.6000  tfidf 0.8200 (gain -0.0300 to +0.0100)",
            True,
        ),
    ],
    ids=["none", "tfidf"],
)
def test_a_plain_model_stands_beside_the_baseline(found, line, warning, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    METRICS.parent.mkdir(parents=True)
    METRICS.write_text(json.dumps(found))
    lines = summarize(elapsed_s=3).splitlines()
    assert f"  test       accuracy 0.8100  {line}" in lines
    assert any("transfer does not pay here" in each for each in lines) is warning


def test_texts_that_were_not_read_to_their_ends_are_counted(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    NORMALIZATION.parent.mkdir(parents=True)
    splits = {"train": {"items": 60, "cut_off": 2}, "val": {"items": 0}}
    NORMALIZATION.write_text(json.dumps({"mode": "none", "max_tokens": 128, "splits": splits}))
    assert "cut off    2 of 60 texts are longer than 128 tokens" in summarize(elapsed_s=3)
    NORMALIZATION.write_text(json.dumps({"mode": "minmax", "splits": {"train": {"mean": [1]}}}))
    assert "cut off" not in summarize(elapsed_s=3)


def test_a_promise_of_privacy_is_stated(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    BUNDLE.parent.mkdir(parents=True)
    BUNDLE.write_text(json.dumps({"privacy": None}))
    assert "privacy" not in summarize(elapsed_s=3)
    told = {"epsilon": 8.0, "delta": 1e-05, "unit": "group", "units": 1500}
    BUNDLE.write_text(json.dumps({"privacy": told}))
    line = "  privacy    epsilon 8, delta 1e-05 for each group of train (1,500 of them)"
    assert line in summarize(elapsed_s=3).splitlines()


def test_numbers_of_another_state_are_not_shown_as_those_of_this_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for path in (METRICS, PUBLISHED, PAGE, PLOTS[0]):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(FOUND))
    told = summarize(elapsed_s=3, changed=["train", "evaluate"])
    assert "not run    train, evaluate" in told
    assert "0.8100" not in told
    assert str(PLOTS[0]) not in told
    assert f"data       {PAGE}" in told
    assert "0.8100" in summarize(elapsed_s=3)
