"""A search judges on validation alone, keeps what is done, and never repeats it."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import optuna
import pytest
import yaml

from pipeline.ground.errors import ParamsError
from pipeline.ground.params import read_params
from pipeline.repo.lock import Lock
from pipeline.train.inputs import open_parts
from pipeline.tune.params import TuneParams
from pipeline.tune.search import open_study, refuse_stale_features, run_trials
from pipeline.tune.space import check_space
from pipeline.tune.trial import run_here
from tests.support.closure import ROOT
from tests.support.private import privacy
from tests.support.trainable import SECTIONS, make_sources

SPACE = {
    "optim.lr": {"low": 0.0001, "high": 0.1, "log": True},
    "train.dropout": {"low": 0.0, "high": 0.5},
}


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    return make_sources(tmp_path_factory.mktemp("tune") / "s")


def setting(*, trials=4, together=1, pruner="none", **changes):
    raw = read_params(ROOT / "params.yaml")
    for name, values in SECTIONS.items():
        raw[name] = {**values, **changes.get(name, {})}
    params = TuneParams(trials=trials, together=together, pruner=pruner, seed=1, space=SPACE)
    return raw, params


def search(sources, path, **options):
    raw, params = setting(**options)
    study = open_study(raw, params, check_space(raw, params), path)
    run_trials(study, run_here(raw, open_parts(sources)), raw, params)
    return study


def told(study):
    return [(each.state, each.values, each.value, each.epochs) for each in study.ended()]


def test_a_private_training_is_not_searched(tmp_path):
    raw, params = setting(train={"privacy": privacy().model_dump()})
    with pytest.raises(ParamsError, match=r"train\.privacy: must be null for a search"):
        open_study(raw, params, check_space(raw, params), tmp_path / "study.db")


def test_the_present_params_are_tried_first_and_the_best_is_the_best(sources, tmp_path):
    study = search(sources, tmp_path / "study.db")
    ended = study.ended()
    assert ended[0].values == {"optim.lr": 0.01, "train.dropout": 0.1}
    assert len({tuple(each.values.values()) for each in ended}) == 4
    assert study.best().value == min(each.value for each in ended)
    assert ended[0].value == min(row["val_loss"] for row in ended[0].epochs)


def test_a_search_that_goes_on_is_the_one_that_never_stopped(sources, tmp_path):
    straight = search(sources, tmp_path / "a.db", trials=8)
    search(sources, tmp_path / "b.db", trials=3)
    stopped = search(sources, tmp_path / "b.db", trials=8)
    assert told(straight) == told(stopped)
    assert told(search(sources, tmp_path / "b.db", trials=8)) == told(straight)


def test_the_test_split_is_never_looked_at(sources, tmp_path):
    clean = search(sources, tmp_path / "a.db")

    def poison(rows):
        is_test = rows["split"] == "test"
        rows.loc[is_test, "label"] = np.where(
            rows.loc[is_test, "label"] == "dark", "bright", "dark"
        )
        return rows

    poisoned = make_sources(tmp_path / "s", change=poison)
    assert told(search(poisoned, tmp_path / "b.db")) == told(clean)


def test_a_diverging_trial_fails_and_the_search_goes_on(sources, tmp_path):
    study = search(
        sources, tmp_path / "study.db", trials=3, optim={"name": "sgd"}, loss={"name": "mse"}
    )
    assert [each.state for each in study.ended()] == ["failed"] * 3
    assert "loss.name: must be 'cross_entropy'" in study.ended()[0].note
    assert study.best() is None


def test_a_range_of_a_param_that_may_be_a_word_is_of_whole_numbers(sources, tmp_path):
    raw, params = setting(train={"batch_size": "full"})
    space = {"train.batch_size": {"low": 8, "high": 16}}
    params = params.model_copy(update={"trials": 2, "space": space})
    study = open_study(raw, params, check_space(raw, params), tmp_path / "study.db")
    run_trials(study, run_here(raw, open_parts(sources)), raw, params)
    assert [each.state for each in study.ended()] == ["complete"] * 2
    assert all(isinstance(each.values["train.batch_size"], int) for each in study.ended())


def test_bad_trials_are_pruned(sources, tmp_path):
    study = search(sources, tmp_path / "study.db", trials=14, pruner="median")
    states = [each.state for each in study.ended()]
    assert "pruned" in states
    assert all(len(each.epochs) < 6 for each in study.ended() if each.state == "pruned")


def test_how_many_of_a_batch_run_at_a_time_changes_nothing(sources, tmp_path):
    straight = search(sources, tmp_path / "a.db", trials=8, together=3)
    raw, params = setting(trials=8, together=3)
    study = open_study(raw, params, check_space(raw, params), tmp_path / "b.db")
    run = run_here(raw, open_parts(sources))
    run_trials(study, lambda batch: reversed([*run(batch[::-1])]), raw, params)
    assert told(study) == told(straight)
    stopped = tmp_path / "c.db"
    for trials in (2, 4, 8):  # within a batch, and within another one
        again = search(sources, stopped, trials=trials, together=3)
    assert told(again) == told(straight)
    assert told(straight)[5:] != told(search(sources, tmp_path / "d.db", trials=8))[5:]


def test_the_bars_are_those_of_optunas_median_pruner(sources, tmp_path):
    study = search(sources, tmp_path / "study.db", trials=9, pruner="none")
    raw, params = setting(trials=9, pruner="median")
    bars = open_study(raw, params, check_space(raw, params), tmp_path / "study.db")._bars
    kept = study._study
    pruner = optuna.pruners.MedianPruner(5, 2)
    assert list(bars(kept.trials)) == [2, 3, 4, 5, 6]
    for epoch, bar in bars(kept.trials).items():
        for value, is_worse in ((bar, False), (bar * 1.001, True), (bar * 0.999, False)):
            trial = kept.ask()
            trial.report(value, epoch)
            assert pruner.prune(kept, kept.trials[-1]) == is_worse
            kept.tell(trial, state=optuna.trial.TrialState.FAIL)


SCRIPT = """
import sys
from pathlib import Path
from pipeline.train.inputs import Sources
from tests.unit.tune.test_search import search
search(Sources(*map(Path, sys.argv[2:])), Path(sys.argv[1]), trials=40, train={"epochs": 40})
"""


@pytest.mark.slow
def test_a_killed_process_loses_the_running_trial_alone_and_tries_it_again(sources, tmp_path):
    paths = [
        str(getattr(sources, name))
        for name in ("features", "store", "normalization", "backbone", "record")
    ]
    path = tmp_path / "study.db"
    raw, params = setting(trials=40, train={"epochs": 40})
    dimensions = check_space(raw, params)
    with subprocess.Popen([sys.executable, "-c", SCRIPT, str(path), *paths], cwd=ROOT) as process:
        # The second one's shows that the first trial is over: its own comes a moment before.
        while not path.exists() or path.read_bytes().count(b"end_ms") < 2:
            assert process.poll() is None
            time.sleep(0.02)
        os.kill(process.pid, signal.SIGKILL)
    kept = told(open_study(raw, params, dimensions, path))
    assert 1 <= len(kept) < 40
    again = search(sources, path, trials=len(kept) + 2, train={"epochs": 40})
    assert told(again)[: len(kept)] == kept
    straight = search(sources, tmp_path / "b.db", trials=len(kept) + 2, train={"epochs": 40})
    assert [row[:3] for row in told(again)] == [row[:3] for row in told(straight)]


def test_features_made_with_other_params_are_told(tmp_path):
    stages = {
        name: {"params": {"params.yaml": {}}}
        for name in ("clean", "recipe", "transform", "weights", "normalize", "features")
    }
    stages["features"]["params"]["params.yaml"] = {"features": {"views": 2}, "runtime.threads": 1}
    lock = Lock.parse(yaml.safe_dump({"stages": stages}), "dvc.lock")
    refuse_stale_features({"features": {"views": 2}, "runtime": {"threads": 1, "seed": 9}}, lock)
    with pytest.raises(ParamsError) as caught:
        refuse_stale_features({"features": {"views": 3}, "runtime": {"threads": 1}}, lock)
    assert str(caught.value) == (
        "params.yaml: features: has changed since `features` ran, and trials share what it wrote "
        "(run `rootstock repro features`)"
    )
