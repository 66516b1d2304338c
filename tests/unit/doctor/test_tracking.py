"""Whether MLflow will take the runs is known in seconds, and no secret is told."""

import base64
import contextlib
import http.server
import importlib.metadata
import shutil
import sqlite3
import subprocess
import sys
import threading

import pytest

from pipeline.doctor.tracking import check_tracking
from pipeline.ground.findings import gather
from pipeline.track.database import look_at_database
from pipeline.track.params import TrackingParams

HERE = importlib.metadata.version("mlflow")


def look(*, required=False, fix=False):
    params = TrackingParams(experiment="cells", required=required, live=True)
    return gather("tracking", check_tracking(params, fix=fix))[0]


class Answers(http.server.BaseHTTPRequestHandler):
    """Answers as its server's `answers` say: by path, a status and a text."""

    def do_GET(self):
        self.server.seen[self.path] = self.headers.get("Authorization")
        status, text = self.server.answers.get(self.path, (404, "not here"))
        self.send_response(status)
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *args):
        pass


@contextlib.contextmanager
def server(**answers):
    web = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    web.answers = {f"/{name}": answer for name, answer in answers.items()}
    web.seen = {}
    thread = threading.Thread(target=web.serve_forever)
    thread.start()
    try:
        yield web
    finally:
        web.shutdown()
        thread.join()
        web.server_close()


def test_a_server_that_is_mlflow_is_named_with_its_version(repository, monkeypatch):
    with server(health=(200, "OK"), version=(200, HERE)) as web:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://me:secret@127.0.0.1:{web.server_port}")
        (found,) = look()
    assert found.line() == f"http://127.0.0.1:{web.server_port}: MLflow {HERE} answers"
    kind, text = web.seen["/version"].split()
    assert (kind, base64.b64decode(text)) == ("Basic", b"me:secret")


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        ({"health": (200, "OK"), "version": (200, "<html>")}, "it is no MLflow server"),
        ({}, "something answers there with status 404, and it is no MLflow server"),
        ({"health": (200, "OK"), "version": (401, "")}, "refuses us with status 401"),
        ({"health": (503, "")}, "the tracking server cannot be used"),
    ],
    ids=["html", "404", "401", "503"],
)
def test_what_is_no_usable_server_is_told(repository, monkeypatch, answers, message):
    with server(**answers) as web:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://me:secret@127.0.0.1:{web.server_port}")
        (found,) = look()
        (strict,) = look(required=True)
    assert message in found.line()
    assert "secret" not in found.line()
    assert "runs are kept in journals" in found.line()
    assert (found.level, found.exit_code) == ("warning", 0)
    assert (strict.level, strict.exit_code) == ("error", 6)


def test_another_major_version_is_a_warning(repository, monkeypatch):
    with server(health=(200, "OK"), version=(200, "1.30.0")) as web:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{web.server_port}")
        (found,) = look()
    assert found.level == "warning"
    assert f"MLflow 1.30.0, where {HERE} is installed here" in found.line()


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("http://127.0.0.1:9", "the tracking server cannot be used"),
        ("htp://127.0.0.1:9", "MLFLOW_TRACKING_URI: must begin with http://"),
        ("mlruns", "MLFLOW_TRACKING_URI: must begin with http://"),
        ("postgresql+nodriver://me:secret@127.0.0.1:9/db", "is no address of a database"),
        ("mysql://me:secret@127.0.0.1:9/db", "needs the Python package 'MySQLdb"),
        ("sqlite:////nowhere/at/all/mlflow.db", "its folder is not there"),
    ],
)
def test_an_address_that_cannot_be_used_is_told_without_its_secrets(
    repository, monkeypatch, uri, message
):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    found = look(required=True)
    assert message in found[-1].line()
    assert found[-1].exit_code == 6
    assert not any("secret" in each.line() for each in found)


def test_a_database_is_sound_or_not_there_yet(repository):
    (found,) = look()
    assert found.line() == "mlflow.db: MLflow's database, in the version of the installed MLflow"
    (repository / "mlflow.db").unlink()
    (found,) = look()
    assert found.line() == "mlflow.db: is not there yet; the first run makes it"


def change(path, *statements):
    with contextlib.closing(sqlite3.connect(path)) as database, database:
        for each in statements:
            database.execute(each)


def test_every_condition_of_a_database_is_told_apart(repository):
    path = repository / "mlflow.db"
    assert look_at_database(path) == "sound"
    change(path, "create table _alembic_tmp_tags (key text)")
    assert look_at_database(path) == "sound"
    change(path, "drop table _alembic_tmp_tags")
    change(path, "update alembic_version set version_num = '0584bdc529eb'")
    assert look_at_database(path) == "half-made"
    change(path, "insert into runs (run_uuid, experiment_id) values ('a', 0)")
    assert look_at_database(path) == "older"
    change(path, "update alembic_version set version_num = 'ffffffffffff'")
    assert look_at_database(path) == "newer"
    change(path, "delete from alembic_version")
    assert look_at_database(path) == "half-made"
    other = repository / "other.db"
    change(other, "create table a (b)")
    assert look_at_database(other) == "foreign"
    assert look_at_database(repository / "none.db") == "absent"


def make_half(path):
    """Leave what six first users at once leave: a table of a migration that never ended."""
    change(
        path,
        "create table _alembic_tmp_tags (key text)",
        "update alembic_version set version_num = '0584bdc529eb'",
    )


def make_noise(path):
    path.write_bytes(b"noise" * 1000)


def make_torn(path):
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 3])


@pytest.mark.parametrize("spoil", [make_half, make_noise, make_torn])
def test_a_database_that_mlflow_refuses_is_set_aside_on_request(repository, spoil):
    path = repository / "mlflow.db"
    spoil(path)
    kept = path.read_bytes()
    (found,) = look(required=True)
    assert found.exit_code == 6
    assert "rootstock doctor --fix" in found.line()
    (found,) = look(fix=True)
    assert found.is_fixed
    assert (repository / "mlflow.db.broken-1").read_bytes() == kept
    assert not path.exists()
    shutil.copy(repository / "mlflow.db.broken-1", path)
    look(fix=True)
    assert (repository / "mlflow.db.broken-2").exists()


def test_a_write_that_was_cut_and_a_lock_are_no_damage(repository):
    path = repository / "mlflow.db"
    insert = "insert into runs (run_uuid, experiment_id) values (hex(randomblob(16)), 0)"
    code = (
        f"import os, sqlite3; d = sqlite3.connect({str(path)!r}); d.execute('pragma cache_size=1')"
        f"; d.execute('begin'); [d.execute({insert!r}) for _ in range(5000)]; os._exit(9)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 9
    assert (repository / "mlflow.db-journal").exists()
    assert look_at_database(path) == "sound"
    with contextlib.closing(sqlite3.connect(path)) as database:
        assert database.execute("select count(*) from runs").fetchone() == (0,)
        database.execute("begin exclusive")
        (found,) = look(required=True, fix=True)
    assert "cannot be looked at: database is locked" in found.line()
    assert path.exists()


def test_a_deleted_experiment_is_told(repository):
    change(
        repository / "mlflow.db",
        "insert into experiments (experiment_id, name, lifecycle_stage, workspace) "
        "values (7, 'cells', 'deleted', 'default')",
    )
    (found,) = look(required=True)
    assert "tracking.experiment: this experiment is deleted in MLflow, got 'cells'" in found.line()
