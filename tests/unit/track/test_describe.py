"""What people read of a run names the weights that were in force."""

import pytest

from pipeline.track.describe import run_name

PARAMS = {
    "data": {"path": "raw", "text": "text", "layout": "auto"},
    "train": {"strategy": "head"},
    "weights": {"architecture": "of_pictures"},
    "text.weights": {"architecture": "of_texts"},
}


@pytest.mark.parametrize(
    ("text", "name"), [("text", "head-0123456-of_texts"), (None, "head-0123456-of_pictures")]
)
def test_a_run_is_named_after_the_weights_in_force(text, name, monkeypatch):
    monkeypatch.delenv("DVC_EXP_NAME", raising=False)
    params = PARAMS | {"data": PARAMS["data"] | {"text": text}}
    assert run_name(params, "0123456789") == name


def test_params_of_before_there_were_texts_name_theirs(monkeypatch):
    monkeypatch.delenv("DVC_EXP_NAME", raising=False)
    params = {name: each for name, each in PARAMS.items() if name in ("train", "weights")}
    assert run_name(params, "0123456789") == "head-0123456-of_pictures"
