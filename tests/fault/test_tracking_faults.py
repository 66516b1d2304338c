"""A tracking server that is away, slow, killed or used by many at once costs no result."""

import os
import socket
import sqlite3
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest

from pipeline.ground.errors import TrackingError
from pipeline.ground.stage import run_stage
from pipeline.keys.journal import Journal, journal_path, read_journal
from pipeline.track import follow as follow_module
from pipeline.track.connection import connect, exclusive, redact, tracking_uri
from pipeline.track.follow import Stream, follow
from pipeline.track.result_run import settle_run
from pipeline.track.runs import COMPLETE
from stages.publish import main
from tests.support.closure import ROOT
from tests.support.published import HISTORY, TRACKING, Project, read_note

OPTIONS = [
    "--raw",
    "data/cells/raw",
    "--manifest",
    "artifacts/clean/manifest.parquet",
    "--report",
    "artifacts/clean/report.json",
    "--page",
    "artifacts/clean/report.html",
    "--normalization",
    "artifacts/normalize/normalization.json",
    "--record",
    "artifacts/weights/backbone.json",
    "--model",
    "artifacts/train/model.safetensors",
    "--bundle",
    "artifacts/train/bundle.json",
    "--history",
    "artifacts/train/history.csv",
    "--metrics",
    "artifacts/evaluate/metrics.json",
    "--predictions",
    "artifacts/evaluate/predictions.parquet",
    "--clean-plots",
    "artifacts/clean/plots",
    "--normalize-plots",
    "artifacts/normalize/plots",
    "--evaluate-plots",
    "artifacts/evaluate/plots",
    "--recipe",
    "artifacts/recipe/recipe.json",
    "--candidates",
    "artifacts/recipe/candidates.csv",
    "--kept",
    "artifacts/train/kept.json",
]

TRAINING = """
import json, sys, time
from pathlib import Path
from pipeline.keys.journal import Journal, start_follower
key, first, last, pause = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
with Journal.open(key, {}, first_epoch=first) as log:
    start_follower(log.path)
    for epoch in range(first, last + 1):
        log.epoch(epoch, {"train_loss": 1 / epoch})
        print(epoch, flush=True)
        time.sleep(pause)
"""


@pytest.fixture
def project(repository):
    return Project(repository)


@pytest.fixture
def closed_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def deaf_server():
    """Listen, and never answer."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def publish_as_stage(project, *, required, capsys):
    project.set_param("tracking", required=required)
    code = run_stage(main, OPTIONS)
    return code, capsys.readouterr().err


def test_a_server_that_is_away_is_a_warning(project, closed_port, monkeypatch, capsys):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://me:secret@127.0.0.1:{closed_port}")
    note = project.folder / ".rootstock/published.json"
    note.parent.mkdir(exist_ok=True)
    note.write_text("{}")
    code, err = publish_as_stage(project, required=False, capsys=capsys)
    assert code == 0
    assert f"warning: http://127.0.0.1:{closed_port}: the tracking server cannot be used" in err
    assert "the next `dvc repro` completes the run" in err
    assert "secret" not in err
    assert "Traceback" not in err
    assert not note.exists(), "an older note would be taken for this result's"


def test_a_server_that_is_away_is_exit_6_where_it_is_required(
    project, closed_port, monkeypatch, capsys
):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{closed_port}")
    code, err = publish_as_stage(project, required=True, capsys=capsys)
    assert code == 6
    last = err.splitlines()[-1]
    assert last.startswith(f"error: http://127.0.0.1:{closed_port}: the tracking server cannot be")


def test_a_server_that_never_answers_is_given_up_soon(project, monkeypatch):
    with deaf_server() as uri, pytest.raises(TrackingError, match="timed out"):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
        connect("cells")


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("file:///tmp/nowhere", "must begin with http"),
        ("nonsense://x", "must begin with http"),
        ("sqlite:////proc/nowhere/mlflow.db", None),
        ("http://[::1", "cannot be used|Invalid"),
    ],
)
def test_an_address_that_cannot_work_is_one_line(repository, monkeypatch, uri, message):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    with pytest.raises((TrackingError, OSError), match=message):
        connect("cells")


def test_a_damaged_database_is_one_line(project, capsys):
    (project.folder / "mlflow.db").write_bytes(b"not a database" * 100)
    code, err = publish_as_stage(project, required=True, capsys=capsys)
    assert code == 6
    assert "mlflow.db: the tracking server cannot be used" in err.splitlines()[-1]


def test_a_deleted_experiment_says_how_to_restore_it(project):
    tracking = connect("cells")
    tracking.client.delete_experiment(tracking.experiment_id)
    with pytest.raises(TrackingError, match=r"tracking\.experiment: this experiment is deleted"):
        connect("cells")


def test_addresses_are_shown_without_secrets():
    assert redact("https://me:pw@host:5000/x?token=1#y") == "https://host:5000/x"
    assert redact("git@github.com:team/cells.git") == "git@github.com:team/cells.git"


def test_nothing_reports_home_and_no_pickle_is_loaded(repository):
    connect("cells")
    assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == "true"
    assert os.environ["MLFLOW_ALLOW_PICKLE_DESERIALIZATION"] == "false"


def test_one_lock_for_all_processes_of_a_repository(repository):
    from pipeline.ground.errors import MachineError

    with (
        exclusive("x"),
        pytest.raises(MachineError, match=r"x\.lock: another process holds this lock"),
        exclusive("x", timeout_s=0.0),
    ):
        pass


def test_a_stream_goes_on_when_the_server_is_back(project, closed_port, monkeypatch):
    key = project.gathered().keys.train
    with Journal.open(key, {}, first_epoch=1) as log:
        for row in HISTORY:
            log.epoch(row["epoch"], {"train_loss": row["train_loss"]})
    record = read_journal(journal_path(key))
    stream = Stream(key, project.params, TRACKING.experiment)
    with monkeypatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{closed_port}")
        with pytest.raises(TrackingError):
            stream.send(record, status="RUNNING")
    stream.send(record, status="FINISHED")
    assert points(project.folder) == [(1, 0.75), (2, 0.5), (3, 0.25)]


def test_a_follower_gives_up_when_training_is_over_and_the_server_away(
    project, closed_port, monkeypatch
):
    monkeypatch.setattr(follow_module, "_POLL_S", 0.01)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{closed_port}")
    with Journal.open("k", {}, first_epoch=1):
        pass
    follow(journal_path("k"), Stream("k", project.params, "cells"))


def points(folder, key="train_loss"):
    with sqlite3.connect(folder / "mlflow.db") as database:
        query = "select step, value from metrics where key = ? order by step"
        return database.execute(query, [key]).fetchall()


def statuses(folder):
    with sqlite3.connect(folder / "mlflow.db") as database:
        query = "select run_uuid, status from runs where lifecycle_stage = 'active'"
        return database.execute(query).fetchall()


def until(condition, *, seconds=120):
    """Wait until a condition holds; fail when it does not in good time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.2)


def train(folder, key, *, first, last, pause=0.0):
    """Start a process that trains and is followed."""
    environment = {k: v for k, v in os.environ.items() if k != "ROOTSTOCK_FOLLOW"}
    return subprocess.Popen(
        [sys.executable, "-c", TRAINING, key, str(first), str(last), str(pause)],
        cwd=folder,
        env=environment | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
    )


def followed(folder, key):
    """Tell whether no follower of a journal is at work any more."""
    lock = folder / ".rootstock/journals" / f"{key}.follow.lock"
    return not exclusive_is_held(lock)


def exclusive_is_held(path):
    import fcntl

    with path.open("a") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


@pytest.mark.slow
def test_a_killed_training_is_marked_killed_and_goes_on_in_the_same_run(project):
    key = project.gathered().keys.train
    with train(project.folder, key, first=1, last=2, pause=60) as process:
        assert process.stdout.readline() == b"1\n"
        until(lambda: points(project.folder) == [(1, 1.0)])
        assert [status for _, status in statuses(project.folder)] == ["RUNNING"]
        process.kill()
    until(lambda: [status for _, status in statuses(project.folder)] == ["KILLED"])
    until(lambda: followed(project.folder, key))
    with train(project.folder, key, first=2, last=3) as process:
        process.communicate()
    until(lambda: len(points(project.folder)) == 3)
    until(lambda: followed(project.folder, key))
    ((run_id, status),) = statuses(project.folder)
    assert status == "FINISHED"
    run = settle_run(connect(TRACKING.experiment), project.gathered())
    assert (run.info.run_id, run.data.tags[COMPLETE]) == (run_id, "true")


@contextmanager
def mlflow_server(folder, port):
    """Run a real server; it is killed at the end, without a chance to tidy up."""
    database = f"sqlite:///{folder / 'mlflow.db'}"
    command = [
        "-m",
        "mlflow",
        "server",
        "--backend-store-uri",
        database,
        "--port",
        str(port),
        "--artifacts-destination",
        str(folder / "served"),
        "--workers",
        "1",
    ]
    with (folder / "server.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, *command], stdout=log, stderr=log, start_new_session=True
        )
    try:
        until(lambda: process.poll() is None and answers(port))
        yield
    finally:
        os.killpg(process.pid, 9)
        process.wait()


def answers(port):
    import urllib.request

    try:
        urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=1).close()
    except OSError:
        return False
    return True


@pytest.mark.slow
def test_a_server_killed_while_training_loses_nothing(project, closed_port, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{closed_port}")
    key = project.gathered().keys.train
    with mlflow_server(project.folder, closed_port):
        process = train(project.folder, key, first=1, last=6, pause=2)
        until(lambda: len(points(project.folder)) >= 1)
    process.communicate()
    assert process.returncode == 0, "training is not touched by it"
    assert len(points(project.folder)) < 6
    with mlflow_server(project.folder, closed_port):
        run = settle_run(connect(TRACKING.experiment), project.gathered())
        until(lambda: followed(project.folder, key))
    assert run.data.tags[COMPLETE] == "true"
    assert [run_id for run_id, _ in statuses(project.folder)] == [run.info.run_id]
    expected = {(row["epoch"], row["train_loss"]) for row in HISTORY}
    assert expected <= set(points(project.folder))


@pytest.mark.slow
def test_first_use_by_several_processes_at_once(tmp_path):
    """Without the lock they leave a database that nothing can use."""
    code = "from pipeline.track.connection import connect; print(connect('cells').experiment_id)"
    environment = os.environ | {"PYTHONPATH": str(ROOT), "DVC_ROOT": str(tmp_path)}
    started = [
        subprocess.Popen([sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE)
        for _ in range(4)
    ]
    answers = [process.communicate()[0] for process in started]
    assert [process.returncode for process in started] == [0] * 4
    assert len(set(answers)) == 1
    assert sorted(path.name for path in tmp_path.glob("*mlflow*")) == ["mlflow.db"]


def test_the_default_address_is_a_database_in_the_repository(repository, monkeypatch):
    assert tracking_uri() == f"sqlite:///{repository.resolve()}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://team:5000")
    assert tracking_uri() == "http://team:5000"


def test_what_was_published_is_noted(project, monkeypatch, capsys):
    monkeypatch.setenv("DVC_EXP_NAME", "quick-fox")
    code, err = publish_as_stage(project, required=True, capsys=capsys)
    assert code == 0, err
    note = read_note(project.folder)
    assert note["run_name"] == "quick-fox"
    assert note["metrics"]["accuracy"] == 0.875
