"""Many writers at once, a database that is gone under its server, settings that lose metrics."""

import os
import shutil
import sqlite3
import subprocess
import sys
import time

import pytest

from pipeline.track.connection import connect
from pipeline.track.result_run import settle_run
from pipeline.track.runs import Point, log_params, log_points
from tests.fault.test_tracking_faults import (
    closed_port,
    mlflow_server,
    points,
    project,
    publish_as_stage,
    statuses,
)
from tests.support.closure import ROOT
from tests.support.published import HISTORY, TRACKING, Project

_ = (closed_port, project)  # fixtures

_WRITER = """
import os, sys
os.chdir(sys.argv[1])
from tests.support.published import Project, TRACKING
from pathlib import Path
from pipeline.track.result_run import settle_run
from pipeline.track.connection import connect
project = Project(Path())
for number in range(int(sys.argv[3])):
    project.retrain(f"weights {sys.argv[2]} {number}")
    project.set_param("optim", lr=float(f"0.{sys.argv[2]}{number + 1}"))
    settle_run(connect(TRACKING.experiment), project.gathered())
"""


def test_a_server_that_is_away_costs_seconds_not_minutes(project, closed_port, monkeypatch, capsys):
    """MLflow itself tries for four minutes."""
    connect("cells")  # the import of MLflow is not what is measured
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{closed_port}")
    start = time.monotonic()
    code, _ = publish_as_stage(project, required=False, capsys=capsys)
    assert code == 0
    assert time.monotonic() - start < 60


def test_metrics_are_never_queued_whatever_the_user_has_set(project, monkeypatch):
    """MLflow's queue loses what it holds when the server dies, and says nothing."""
    monkeypatch.setenv("MLFLOW_ENABLE_ASYNC_LOGGING", "true")
    run = settle_run(connect(TRACKING.experiment), project.gathered())
    assert os.environ["MLFLOW_ENABLE_ASYNC_LOGGING"] == "false"
    assert points(project.folder) == [(row["epoch"], row["train_loss"]) for row in HISTORY]
    assert run.data.tags["publish.complete"] == "true"


def test_what_is_logged_again_is_not_doubled_and_a_param_is_never_changed(project):
    tracking = connect(TRACKING.experiment)
    run_id = tracking.client.create_run(tracking.experiment_id).info.run_id
    log_params(tracking, run_id, {"optim": {"lr": 0.1}})
    log_params(tracking, run_id, {"optim": {"lr": 0.2, "name": "sgd"}})
    for _ in range(2):
        log_points(tracking, run_id, [Point("loss", 0.5, step, 1) for step in range(3)])
    assert tracking.client.get_run(run_id).data.params == {"optim.lr": "0.1", "optim.name": "sgd"}
    assert points(project.folder, "loss") == [(0, 0.5), (1, 0.5), (2, 0.5)]


@pytest.mark.slow
def test_several_writers_of_one_database_lose_nothing(repository, tmp_path_factory):
    writers, results = 4, 3
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    started = []
    for number in range(1, writers + 1):
        folder = tmp_path_factory.mktemp(f"writer-{number}")
        command = [sys.executable, "-c", _WRITER, str(folder), str(number), str(results)]
        started.append(
            subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
        )
    for process in started:
        _, err = process.communicate(timeout=300)
        assert process.returncode == 0, err
    found = statuses(repository)
    assert [status for _, status in found] == ["FINISHED"] * writers * results
    assert len(points(repository)) == len(HISTORY) * writers * results


@pytest.mark.slow
def test_a_database_that_another_process_holds_for_a_while_is_waited_for(project):
    """Longer than the five seconds that the driver itself waits."""
    code = (
        "import sqlite3, sys, time; d = sqlite3.connect(sys.argv[1]); d.execute('begin exclusive');"
        "print('held', flush=True); time.sleep(8); d.rollback()"
    )
    command = [sys.executable, "-c", code, str(project.folder / "mlflow.db")]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as holder:
        assert holder.stdout.readline() == b"held\n"
        run = settle_run(connect(TRACKING.experiment), project.gathered())
    assert run.data.tags["publish.complete"] == "true"


@pytest.mark.slow
def test_a_database_deleted_under_its_server_is_filled_again(repository, closed_port, monkeypatch):
    project = Project(repository)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{closed_port}")
    with mlflow_server(repository, closed_port):
        before = settle_run(connect(TRACKING.experiment), project.gathered())
    (repository / "mlflow.db").unlink()
    shutil.rmtree(repository / "served")
    with mlflow_server(repository, closed_port):
        after = settle_run(connect(TRACKING.experiment), project.gathered())
        assert after.data.metrics == before.data.metrics
        assert after.data.params == before.data.params
    with sqlite3.connect(repository / "mlflow.db") as database:
        assert database.execute("select count(*) from runs").fetchone() == (1,)
