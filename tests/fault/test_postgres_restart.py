"""A PostgreSQL server that is restarted under an open client costs neither a write nor a run."""

import os
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

import pytest

from pipeline.track.projection import settle_run
from pipeline.track.tracking import connect
from tests.published import TRACKING, Project

pytestmark = pytest.mark.slow

_BINARIES = sorted(Path("/usr/lib/postgresql").glob("*/bin"))


class Server:
    """A PostgreSQL of Debian's packages, in a folder of its own; it refuses to run as root."""

    def __init__(self, folder, port):
        self.folder, self.port = folder, port
        self._call("initdb", "--pgdata", str(folder / "data"), "--username", "mlflow",
                   "--auth", "trust", "--no-sync")  # fmt: skip

    def _call(self, program, *arguments):
        as_other = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        command = [*as_other, str(_BINARIES[-1] / program), *arguments]
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    def control(self, action):
        options = f"-p {self.port} -k {self.folder} -h 127.0.0.1"
        data = ["--pgdata", str(self.folder / "data")]
        log = ["--log", str(self.folder / "log")] if action != "stop" else []
        self._call("pg_ctl", action, "--wait", *data, *log, "--mode", "fast", "--options", options)

    @property
    def uri(self):
        return f"postgresql+psycopg://mlflow@127.0.0.1:{self.port}/postgres"


@pytest.fixture
def server():
    pytest.importorskip("psycopg")
    if not _BINARIES:
        pytest.skip("needs Debian's package postgresql")
    folder = Path(tempfile.mkdtemp(prefix="rootstock-postgres-"))
    if os.geteuid() == 0:
        shutil.chown(folder, "postgres")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = Server(folder, port)
    server.control("start")
    try:
        yield server
    finally:
        server.control("stop")
        shutil.rmtree(folder)


def test_an_idle_client_goes_on_after_a_restart(server, repository, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.uri)
    project = Project(repository)
    tracking = connect(TRACKING.experiment)
    first = settle_run(tracking, project.outcome())
    server.control("restart")
    for lr in (0.1, 0.2, 0.3):
        project.retrain(f"weights of {lr}")
        run = settle_run(tracking, project.set_param("optim", lr=lr).outcome())
        assert run.data.tags["publish.complete"] == "true"
    assert settle_run(tracking, project.outcome()).info.run_id == run.info.run_id
    assert len(tracking.client.search_runs([tracking.experiment_id])) == 4
    assert first.info.run_id != run.info.run_id
