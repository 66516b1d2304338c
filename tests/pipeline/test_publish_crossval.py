"""A cross-validation has one run, with one nested in it for each fold, whatever happens between."""

import json
import os
import re
import shutil
import socket
import subprocess
from pathlib import Path

import pandas as pd
import pytest
import yaml

from pipeline.ground.errors import ParamsError, TrackingError
from pipeline.ground.files import md5_file, write_json, write_rows
from pipeline.ground.tables import write_table
from pipeline.track import claim as agree
from pipeline.track.branches.crossval import fold_result
from pipeline.track.connection import connect
from pipeline.track.params import TrackingParams
from pipeline.track.result_run import publish_run
from pipeline.track.runs import is_complete

TRACKING = TrackingParams(experiment="cells", required=True, live=False)
OUT = Path("artifacts/crossval")
FILES = {
    "metrics": OUT / "metrics.json",
    "predictions": OUT / "predictions.parquet",
    "history": OUT / "history.csv",
    "plots": OUT / "plots",
}
FOLDS = ("repeat-1-fold-1", "repeat-1-fold-2")


class Folds:
    """What the stage `crossval` and DVC leave; its methods change it as a user would."""

    def __init__(self):
        self.params = {"train": {"strategy": "head"}, "crossval": {"folds": 2}}
        self.code, self.accuracy = "1" * 32, (0.75, 0.875)
        self.record()

    def record(self, **changes):
        vars(self).update(changes)
        mean = sum(self.accuracy) / 2
        write_json(
            FILES["metrics"],
            {
                "folds": 2,
                "repeats": 1,
                "items": "all",
                "n": 8,
                "note": "told apart",
                "mean": {"accuracy": mean},
                "deviation": {"accuracy": 0.1},
                "ci95": {"accuracy": {"low": 0.5, "high": 1.0}},
                "baseline": {"accuracy": 0.25},
                "fold": {
                    name: {"accuracy": each}
                    for name, each in zip(FOLDS, self.accuracy, strict=True)
                },
                "out_of_fold": {"accuracy": mean, "per_class": {"a/b": {"f1": 0.5}}},
            },
        )
        rows = [
            {"repeat": 1, "fold": fold, "epoch": epoch, "val_loss": 1 / (fold + epoch)}
            for fold in (1, 2)
            for epoch in (1, 2, 3)
        ]
        write_rows(FILES["history"], rows, columns=list(rows[0]))
        write_table(FILES["predictions"], pd.DataFrame({"p_a": [*self.accuracy]}))
        FILES["plots"].mkdir(exist_ok=True)
        (FILES["plots"] / "folds.csv").write_text("fold\n")
        entry = {
            "deps": [{"path": "pipeline/crossval/folds.py", "md5": self.code}],
            "params": {"params.yaml": self.params},
            "outs": [
                *(
                    {"path": str(path), "md5": md5_file(path)}
                    for path in (FILES["metrics"], FILES["predictions"], FILES["history"])
                ),
                {"path": str(FILES["plots"]), "md5": "9" * 32 + ".dir"},
            ],
        }
        Path("crossval").mkdir(exist_ok=True)
        lock = yaml.safe_dump({"schema": "2.0", "stages": {"crossval": entry}})
        Path("crossval/dvc.lock").write_text(lock)
        Path("params.yaml").write_text(yaml.safe_dump(self.params))
        return self


@pytest.fixture
def folds(repository):
    return Folds()


def publish():
    publish_run(fold_result(**FILES), TRACKING)


def family(tracking):
    """Give parents, and the nested runs by their names."""
    runs = tracking.client.search_runs([tracking.experiment_id])
    nested = [run for run in runs if "mlflow.parentRunId" in run.data.tags]
    return [run for run in runs if run not in nested], sorted(
        nested, key=lambda run: run.info.run_name
    )


def test_parent_and_nested_runs_say_everything(folds, tracking, tmp_path_factory):
    publish()
    (parent,), nested = family(tracking)
    metrics, tags = parent.data.metrics, parent.data.tags
    assert (metrics["accuracy"], metrics["deviation/accuracy"]) == (0.8125, 0.1)
    assert (metrics["ci95/accuracy/low"], metrics["baseline/accuracy"]) == (0.5, 0.25)
    assert metrics["out_of_fold/per_class/a:2Fb/f1"] == 0.5
    assert parent.data.params == {"train.strategy": "head", "crossval.folds": "2"}
    assert "| accuracy | 0.8125 | 0.1000 | 0.5000 to 1.0000 |" in tags["mlflow.note.content"]
    assert "told apart" in tags["mlflow.note.content"]
    assert tuple(run.info.run_name for run in nested) == FOLDS
    for number, run in enumerate(nested, start=1):
        assert run.data.tags["mlflow.parentRunId"] == parent.info.run_id
        assert run.data.params == {"repeat": "1", "fold": str(number)}
        assert run.data.metrics["accuracy"] == folds.accuracy[number - 1]
        points = tracking.client.get_metric_history(run.info.run_id, "val_loss")
        assert [(p.step, p.value) for p in sorted(points, key=lambda p: p.step)] == [
            (epoch, 1 / (number + epoch)) for epoch in (1, 2, 3)
        ]
    assert all(is_complete(run) and run.info.status == "FINISHED" for run in [parent, *nested])
    folder = tmp_path_factory.mktemp("artifacts")
    tracking.client.download_artifacts(parent.info.run_id, "", str(folder))
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert found == {
        "lineage/params.yaml",
        "lineage/crossval/dvc.lock",
        "plots/folds.csv",
        "results/metrics.json",
        "results/predictions.parquet",
        "results/history.csv",
    }
    assert tracking.client.search_registered_models() == []


KEY_RULES = {
    "the same key": (lambda f: f, 1),
    "other params": (lambda f: f.record(params=f.params | {"crossval": {"folds": 3}}), 2),
    "code touched without effect": (lambda f: f.record(code="2" * 32), 1),
    "code touched, other result": (lambda f: f.record(code="2" * 32, accuracy=(0.5, 1.0)), 2),
    "the same key, other result": (lambda f: f.record(accuracy=(0.5, 0.5)), 1),
}


@pytest.mark.parametrize(("change", "count"), KEY_RULES.values(), ids=KEY_RULES)
def test_key_rules(folds, tracking, change, count):
    publish()
    change(folds)
    publish()
    publish()
    parents, nested = family(tracking)
    assert (len(parents), len(nested)) == (count, 2 * count)
    assert all(is_complete(run) for run in [*parents, *nested])


def test_touched_code_adds_its_key_and_another_fingerprint_confirms(folds, tracking):
    publish()
    folds.record(code="2" * 32)
    publish()
    folds.record(accuracy=(0.5, 0.5))
    publish()
    (parent,), _ = family(tracking)
    tags = parent.data.tags
    assert len(tags["dvc.keys"].split()) == 2
    assert tags["dvc.keys"].split()[0] == tags["dvc.key"]
    md5 = md5_file(FILES["predictions"])
    note = json.loads(tags[f"confirmed.{md5[:8]}"])
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ", note.pop("date"))
    assert note == {"dvc.predictions": md5, "largest_difference_of_a_mean": 0.3125}
    assert parent.data.metrics["accuracy"] == 0.8125


class Killed(BaseException):
    """What a kill looks like from inside: nothing after it runs."""


def publish_until_killed(after, monkeypatch):
    """Publish, and die right after the n-th call that writes; gives whether it died."""
    from mlflow import MlflowClient

    left = [after]

    def dying(method):
        def call(*args, **kwargs):
            done = method(*args, **kwargs)
            left[0] -= 1
            if left[0] == 0:
                raise Killed
            return done

        return call

    with monkeypatch.context() as patch:
        for name in ("create_run", "log_batch", "log_artifacts", "set_terminated", "delete_run"):
            patch.setattr(MlflowClient, name, dying(getattr(MlflowClient, name)))
        try:
            publish()
        except Killed:
            return True
    return False


@pytest.mark.slow
def test_a_publish_killed_after_any_write_is_completed_by_the_next(
    folds, monkeypatch, mlflow_template
):
    for after in range(1, 60):
        shutil.copyfile(mlflow_template, f"{after}.db")
        os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{Path(f'{after}.db').resolve()}"
        tracking = connect(TRACKING.experiment)
        was_killed = publish_until_killed(after, monkeypatch)
        publish()
        (parent,), nested = family(tracking)
        assert tuple(run.info.run_name for run in nested) == FOLDS
        for run in [parent, *nested]:
            assert is_complete(run)
            assert run.info.status == "FINISHED"
            assert len(tracking.client.get_metric_history(run.info.run_id, "accuracy")) == 1
        for run in nested:
            assert len(tracking.client.get_metric_history(run.info.run_id, "val_loss")) == 3
        if not was_killed:
            assert after > 12
            return
    raise AssertionError("publishing does not end")


def test_an_attempt_that_was_killed_is_not_taken_for_another_result(folds, tracking, monkeypatch):
    assert publish_until_killed(6, monkeypatch)
    (begun,), nested = family(tracking)
    assert nested
    folds.record(accuracy=(0.5, 0.5))
    monkeypatch.setattr(agree, "_OTHER_S", 0.0)
    publish()
    (parent,), nested = family(tracking)
    assert parent.info.run_id != begun.info.run_id
    assert [run.data.metrics["accuracy"] for run in nested] == [0.5, 0.5]


def git(*arguments):
    command = ["git", "-c", "user.name=a", "-c", "user.email=a@example.org", *arguments]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def test_the_commit_is_provisional_until_one_records_the_folds(folds, tracking):
    git("init", "--initial-branch", "main")
    Path(".gitignore").write_text("/mlflow*\n/.rootstock/\n")
    git("add", ".gitignore", "params.yaml")
    git("commit", "-m", "before")
    publish()
    (parent,), _ = family(tracking)
    tags = parent.data.tags
    assert (tags["git.commit"], tags["git.commit.provisional"]) == (
        git("rev-parse", "HEAD"),
        "true",
    )
    assert tags["git.dirty"] == "false"
    git("add", "--all")
    git("commit", "-m", "results")
    recorded = git("rev-parse", "HEAD")
    git("commit", "--allow-empty", "-m", "later")
    publish()
    (parent,), _ = family(tracking)
    tags = parent.data.tags
    assert (tags["git.commit"], tags["git.commit.provisional"]) == (recorded, "false")


def test_a_server_that_is_away_is_a_warning_unless_it_is_required(folds, monkeypatch, caplog):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{port}")
    publish_run(fold_result(**FILES), TRACKING.model_copy(update={"required": False}))
    assert "the tracking server cannot be used" in caplog.text
    with pytest.raises(TrackingError, match="the tracking server cannot be used"):
        publish()


def test_folds_that_never_ran_are_one_line(repository):
    with pytest.raises(ParamsError, match=r"crossval/dvc\.lock: no such file"):
        publish()
