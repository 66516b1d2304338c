"""The summary of `rootstock repro` has what a plain model comes to, where there is one."""

import json

import pytest

from pipeline.commands.summary import METRICS, summarize

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
