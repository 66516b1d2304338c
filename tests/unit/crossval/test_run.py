"""Every item is judged by a model that did not see it; a restart repeats no finished fold."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from pipeline.crossval import run as crossval
from pipeline.crossval.params import CrossvalParams
from pipeline.crossval.plots import curve_rows
from pipeline.crossval.run import Setting, clear, run_folds, write
from pipeline.ground.files import read_json
from pipeline.judge.params import EvaluateParams
from pipeline.judge.temperature import probabilities
from pipeline.train.inputs import open_parts
from pipeline.train.trainer import open_training
from tests.support.closure import ROOT
from tests.support.trainable import QUIET, cpu, make_sources, plan

EVALUATE = EvaluateParams(bootstrap=50, ece_bins=5, worst=0, seed=1)


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    return make_sources(tmp_path_factory.mktemp("crossval") / "s", cut="blocks.3", views=2)


def setting(sources, *, task="classification", repeats=1, **changes) -> Setting:
    deal = CrossvalParams(folds=3, repeats=repeats, items="all", val_frac=0.25, seed=1)
    return Setting(plan(task=task, **changes), open_parts(sources), deal, EVALUATE, cpu())


def finish(chosen, folder, scored=None):
    scored = scored or list(run_folds(chosen, machine=QUIET, state=folder / "state"))
    folder.mkdir(exist_ok=True)
    write(
        chosen,
        scored,
        metrics=folder / "metrics.json",
        predictions=folder / "p.parquet",
        history=folder / "history.csv",
        plots=folder / "plots",
    )
    return scored, read_json(folder / "metrics.json"), pd.read_parquet(folder / "p.parquet")


@pytest.mark.parametrize("strategy", ["head", "top", "full"])
def test_every_item_is_predicted_once_by_the_fold_that_held_it_out(strategy, sources, tmp_path):
    chosen = setting(sources, train={"strategy": strategy, "epochs": 2}, optim={"lr": 0.001})
    scored, found, table = finish(chosen, tmp_path)
    index = chosen.parts.store.index
    assert table["path"].tolist() == index["path"].tolist()
    assert (found["n"], len(found["fold"])) == (60, 3)
    for each in scored:
        assert set(table["fold"].iloc[each.fold.held_out]) == {each.fold.fold}
    accuracy = (table["label"] == table["predicted"]).mean()
    assert found["out_of_fold"]["accuracy"] == pytest.approx(accuracy)


def test_a_fold_is_the_training_of_its_rows_alone(sources, tmp_path):
    chosen = setting(sources, train={"epochs": 3})
    scored, _, _ = finish(chosen, tmp_path)
    fold = scored[1].fold
    training = open_training(chosen.plan, chosen.parts, cpu(), rows=fold.rows)
    for report in training.run(crossval.Checkpoints(tmp_path / "c", training.identity())):
        assert report.values() == {
            k: v for k, v in scored[1].history[report.epoch - 1].items() if k != "epoch"
        }
    trained = training.finish()
    assert trained.temperature == scored[1].temperature
    served = training.targets.serve(trained.outputs(fold.held_out), trained.temperature)
    assert np.array_equal(served, scored[1].served)


def test_mean_deviation_and_interval_are_those_of_the_paper(sources, tmp_path):
    chosen = setting(sources, repeats=2, train={"epochs": 1})
    scored, found, table = finish(chosen, tmp_path)
    values = [each.scores["loss"] for each in scored]
    assert len(values) == 6
    assert found["mean"]["loss"] == pytest.approx(np.mean(values))
    assert found["deviation"]["loss"] == pytest.approx(np.std(values, ddof=1))
    # Nadeau and Bengio (2003): 2.570582 is the quantile of t with 5 degrees of freedom
    half = 2.570582 * np.std(values, ddof=1) * np.sqrt(1 / 6 + 1 / 2)
    assert found["ci95"]["loss"]["high"] - np.mean(values) == pytest.approx(half, rel=1e-5)
    assert "out_of_fold" not in found
    assert len(table) == 120
    assert "note" not in found


def test_a_plain_model_is_fitted_to_each_fold_and_the_gain_is_paired(
    sources, tmp_path, monkeypatch
):
    def answers(store, known, asked, *, classes, seed):
        assert not set(known.rows) & set(asked)
        assert len(known.targets) == len(known.rows)
        shares = np.bincount(known.targets, minlength=classes) / len(known.rows)
        return np.tile(shares, (len(asked), 1))

    part = SimpleNamespace(name="shares", answers=answers)
    monkeypatch.setattr(crossval, "baseline", lambda modality: part)
    chosen = setting(sources, train={"epochs": 1})
    scored, found, _ = finish(chosen, tmp_path)
    plain = found["beside"]
    assert plain["name"] == "shares"
    assert plain["loss"] == pytest.approx(found["baseline"]["loss"])
    gains = [each.scores["accuracy"] - each.beside["accuracy"] for each in scored]
    gain = plain["gain"]["accuracy"]
    assert gain["value"] == pytest.approx(np.mean(gains))
    # as above; 4.302653 is the quantile with 2 degrees of freedom
    half = 4.302653 * np.std(gains, ddof=1) * np.sqrt(1 / 3 + 1 / 2)
    assert gain["high"] - gain["value"] == pytest.approx(half, rel=1e-5)


def test_regression_is_judged_in_the_unit_of_the_target(tmp_path):
    sources = make_sources(tmp_path / "s", labels=lambda number, level: str(level))
    chosen = setting(sources, task="regression", train={"epochs": 2})
    _, found, table = finish(chosen, tmp_path / "out")
    error = (table["value"] - table["label"]).abs()
    assert found["out_of_fold"]["mae"] == pytest.approx(error.mean())
    assert 0 < found["mean"]["mae"] < 200


def test_a_finished_fold_is_not_trained_again(sources, tmp_path, monkeypatch):
    chosen = setting(sources, train={"epochs": 2})
    finish(chosen, tmp_path / "straight")
    folds = run_folds(chosen, machine=QUIET, state=tmp_path / "killed/state")
    next(folds)
    next(folds)
    folds.close()
    trained = []
    real = crossval.open_training
    monkeypatch.setattr(
        crossval, "open_training", lambda *a, **k: trained.append(1) or real(*a, **k)
    )
    finish(chosen, tmp_path / "killed")
    assert len(trained) == 1
    for name in ("metrics.json", "p.parquet", "history.csv", "plots/folds.png", "plots/folds.csv"):
        assert (tmp_path / "straight" / name).read_bytes() == (
            tmp_path / "killed" / name
        ).read_bytes()
    clear(tmp_path / "killed/state")
    assert not (tmp_path / "killed/state").exists()


def test_metrics_are_those_of_evaluate(sources, tmp_path):
    chosen = setting(sources, train={"epochs": 2})
    scored, found, _ = finish(chosen, tmp_path)
    assert {"accuracy", "ece", "ece_uncalibrated", "roc_auc"} <= set(found["mean"])
    labels = chosen.parts.store.index["label"]
    commonest = labels.value_counts(normalize=True).max()
    assert found["baseline"]["accuracy"] == pytest.approx(commonest, abs=0.05)
    assert found["baseline"]["roc_auc"] == pytest.approx(0.5)
    for each in scored:
        raw = probabilities(each.outputs, 1.0)
        again = chosen.targets.serve(each.outputs, each.temperature)
        assert np.array_equal(again, each.served)
        right = raw.argmax(axis=1) == chosen.targets.encode(labels.iloc[each.fold.held_out]).numpy()
        assert abs(raw.max(axis=1).mean() - right.mean()) <= each.scores["ece_uncalibrated"] + 1e-9


def test_a_normalization_fitted_on_the_main_split_is_told(sources, tmp_path):
    chosen = setting(sources, train={"epochs": 1})
    fitted = replace(chosen.parts.normalization, mode="dataset")
    told = replace(chosen, parts=replace(chosen.parts, normalization=fitted))
    _, found, _ = finish(told, tmp_path)
    assert "fitted on the train split of the main run" in found["note"]


@pytest.mark.parametrize("harm", ["another machine", "bit rot"])
def test_a_finished_fold_that_cannot_be_used_is_trained_again(sources, tmp_path, caplog, harm):
    chosen = setting(sources, train={"epochs": 2})
    scored, *_ = finish(chosen, tmp_path)
    path = tmp_path / "state/repeat-1-fold-2.json"
    whole = path.read_bytes()
    path.write_bytes(
        whole.replace(b'"threads": 1', b'"threads": 9')
        if harm == "another machine"
        else whole[:100]
    )
    again = list(run_folds(chosen, machine=QUIET, state=tmp_path / "state"))
    assert "trained again" in caplog.text
    assert path.read_bytes() == whole
    assert np.array_equal(again[1].served, scored[1].served)


def test_curves_are_of_the_folds_that_reached_an_epoch(sources, tmp_path):
    rows = [
        {"epoch": 1, "val_loss": 1.0},
        {"epoch": 2, "val_loss": 0.5},
        {"epoch": 1, "val_loss": 3},
    ]
    assert curve_rows(rows) == [
        {"epoch": 1, "folds": 2, "mean": 2.0, "lowest": 1.0, "highest": 3},
        {"epoch": 2, "folds": 1, "mean": 0.5, "lowest": 0.5, "highest": 0.5},
    ]


SCRIPT = """
import sys
from pathlib import Path
from pipeline.train.inputs import Sources
from tests.unit.crossval.test_run import finish, setting
sources = Sources(*map(Path, sys.argv[2:]))
finish(setting(sources, train={"strategy": "top", "epochs": 8}), Path(sys.argv[1]))
"""


def _is_there(state, pattern):
    """Look for a file; a folder that goes away under the look is none."""
    try:
        return bool(list(state.glob(pattern)))
    except FileNotFoundError:
        return False


@pytest.mark.slow
def test_a_real_process_that_is_killed_goes_on_to_the_same_bytes(sources, tmp_path):
    paths = [
        str(getattr(sources, name))
        for name in ("features", "store", "normalization", "backbone", "record")
    ]
    for name in ("straight", "killed"):
        (tmp_path / name).mkdir()
    command = [sys.executable, "-c", SCRIPT]
    subprocess.run([*command, str(tmp_path / "straight"), *paths], cwd=ROOT, check=True)
    state = tmp_path / "killed/state"
    with subprocess.Popen([*command, str(tmp_path / "killed"), *paths], cwd=ROOT) as process:
        while not (_is_there(state, "*/epoch-*.json") and _is_there(state, "repeat-*.json")):
            assert process.poll() is None, "it ended before it could be killed"
            time.sleep(0.005)
        os.kill(process.pid, signal.SIGKILL)
    kept = {path.name: path.stat().st_mtime_ns for path in state.glob("repeat-*.json")}
    assert 1 <= len(kept) < 3
    subprocess.run([*command, str(tmp_path / "killed"), *paths], cwd=ROOT, check=True)
    for name, time_ns in kept.items():
        assert (state / name).stat().st_mtime_ns == time_ns
    for name in ("metrics.json", "p.parquet", "history.csv"):
        assert (tmp_path / "straight" / name).read_bytes() == (
            tmp_path / "killed" / name
        ).read_bytes()
