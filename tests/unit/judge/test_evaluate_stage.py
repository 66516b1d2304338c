"""The stage `evaluate` writes its three outputs, the same bytes each time."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from pipeline.compute.params import RuntimeParams
from pipeline.ground.errors import IntegrityError
from pipeline.judge.params import EvaluateParams
from pipeline.train.checkpoint import Checkpoints
from pipeline.train.inputs import open_parts
from pipeline.train.trainer import open_training
from stages.evaluate import main
from tests.support.trainable import QUIET, SECTIONS, cpu, make_sources, plan

EVALUATE = EvaluateParams(bootstrap=20, ece_bins=10, worst=3, seed=1)
RUNTIME = RuntimeParams.model_validate(SECTIONS["runtime"])


@pytest.fixture
def trained(tmp_path):
    sources = make_sources(tmp_path / "s", items=40)
    training = open_training(plan(train={"epochs": 2}), open_parts(sources), cpu())
    list(training.run(Checkpoints(tmp_path / "checkpoints", {})))
    training.finish().write(
        tmp_path / "model",
        bundle=tmp_path / "bundle",
        history=tmp_path / "history",
        kept=tmp_path / "kept",
    )
    return {"store": sources.store, "model": tmp_path / "model", "bundle": tmp_path / "bundle"}


def evaluate(trained, out):
    main(
        EVALUATE,
        RUNTIME,
        QUIET,
        **trained,
        metrics=out / "metrics.json",
        predictions=out / "predictions.parquet",
        plots=out / "plots",
    )
    return {path.relative_to(out): path.read_bytes() for path in out.rglob("*") if path.is_file()}


def test_the_outputs_are_whole_and_the_same_each_time(trained, tmp_path):
    first, second = (evaluate(trained, tmp_path / name) for name in ("a", "b"))
    assert first == second
    metrics = json.loads((tmp_path / "a" / "metrics.json").read_text())
    table = pd.read_parquet(tmp_path / "a" / "predictions.parquet")
    assert metrics["n"] == len(table)
    assert (tmp_path / "a/plots/confusion.png").exists()


def test_a_damaged_store_is_refused(trained, tmp_path):
    shard = trained["store"] / "shard-00000.npy"
    data = bytearray(shard.read_bytes())
    data[-1] ^= 1
    shard.write_bytes(data)
    with pytest.raises(IntegrityError, match=r"shard-00000\.npy"):
        evaluate(trained, tmp_path / "a")


def test_a_modality_with_a_plain_model_has_it_beside(trained, tmp_path, monkeypatch, caplog):
    def answers(store, known, asked, *, classes, seed):
        truth = store.index["label"].iloc[asked].to_numpy()
        return np.eye(classes)[(truth == "dark").astype(int)]

    without = json.loads(evaluate(trained, tmp_path / "a")[Path("metrics.json")])
    part = SimpleNamespace(name="seer", answers=answers)
    monkeypatch.setattr("pipeline.judge.beside.baseline", lambda modality: part)
    found = json.loads(evaluate(trained, tmp_path / "b")[Path("metrics.json")])
    plain = found.pop("beside")
    assert (plain["name"], plain["accuracy"]) == ("seer", 1.0)
    assert plain["gain"]["accuracy"]["value"] == pytest.approx(found["accuracy"] - 1.0)
    assert found == without
    assert "transfer does not pay here" in caplog.text
