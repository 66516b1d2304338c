"""Real servers for the tests of team work, on free ports: S3, SFTP, PostgreSQL and MLflow.

All come from the package index, but for PostgreSQL, which is a package of the system. Where it is
missing, a test is skipped and says so; with ROOTSTOCK_REQUIRE_SERVERS=1, as on CI, it fails.
"""

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.support.closure import ROOT
from tests.support.project import ENVIRONMENT

REQUIRED = os.environ.get("ROOTSTOCK_REQUIRE_SERVERS") == "1"
START_S = 120
KEYS = {"AWS_ACCESS_KEY_ID": "team", "AWS_SECRET_ACCESS_KEY": "secret"}
KEYS |= {"AWS_DEFAULT_REGION": "us-east-1"}


def free_port():
    """Give a port that nothing listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def until(holds, seconds=START_S):
    """Wait for something to hold; fail when it does not in time."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.05)


def listens(port):
    """Tell whether something accepts connections there."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def answers(url):
    """Tell whether a web server answers, whatever it says."""
    with suppress(OSError):
        try:
            urllib.request.urlopen(url, timeout=2).close()
        except urllib.error.HTTPError as error:
            error.close()
        return True
    return False


@dataclass
class Server:
    """A server process with its children; it can be killed and started again on its port."""

    command: list[str]
    log: Path
    ready: "object"
    env: dict[str, str] = field(default_factory=dict)
    process: "subprocess.Popen | None" = None

    def start(self):
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command,
                stdout=log,
                stderr=log,
                start_new_session=True,
                cwd=ROOT,
                env=ENVIRONMENT | {"PYTHONPATH": str(ROOT)} | self.env,
            )
        until(lambda: self.process.poll() is not None or self.ready())
        assert self.process.poll() is None, self.log.read_text(errors="replace")[-3000:]
        return self

    def kill(self):
        """End it at once, without a chance to tidy up."""
        if self.process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.kill()


def s3_server(folder, buckets):
    """Run moto's S3, which keeps objects in memory; gives the server and its address."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    server = Server(command, folder / "s3.log", lambda: listens(port), env=KEYS)

    @contextmanager
    def running():
        import boto3

        with server:
            client = boto3.client(
                "s3",
                endpoint_url=url,
                aws_access_key_id=KEYS["AWS_ACCESS_KEY_ID"],
                aws_secret_access_key=KEYS["AWS_SECRET_ACCESS_KEY"],
                region_name="us-east-1",
            )
            for bucket in buckets:
                client.create_bucket(Bucket=bucket)
            yield url, client

    return running()


def sftp_server(folder, key, *, die_after=None, port=None):
    """Give an SFTP server that lets in one key and shows `folder` as `/`.

    Args:
        folder: What it serves.
        key: A private key file; its public half lies beside it.
        die_after: End at once when so many files were opened for writing.
        port: Listen there.
    """
    port = port or free_port()
    command = [sys.executable, "-m", "tests.support.sftp", str(folder), str(port), f"{key}.pub"]
    command += [str(die_after)] if die_after else []
    server = Server(command, folder.with_name("sftp.log"), lambda: listens(port))
    server.port = port
    return server


@dataclass
class Postgres:
    """A database cluster of its own."""

    bin: Path
    folder: Path
    port: int
    password: str

    def uri(self, database="mlflow"):
        return f"postgresql+psycopg://mlflow:{self.password}@127.0.0.1:{self.port}/{database}"

    def run(self, name, *arguments, **options):
        """Run a program of PostgreSQL as the user who owns the cluster."""
        who = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        done = subprocess.run(
            [*who, str(self.bin / name), *arguments],
            cwd=self.folder,
            capture_output=True,
            check=False,
            timeout=START_S,
            env=ENVIRONMENT | {"PGPASSWORD": self.password},
            **options,
        )
        assert done.returncode == 0, done.stderr.decode(errors="replace")
        return done.stdout

    def control(self, action):
        """Start, stop or restart the cluster, and wait for it; open connections are cut."""
        settings = f"-c listen_addresses=127.0.0.1 -c port={self.port} -c fsync=off "
        settings += f"-c unix_socket_directories={self.folder}"
        stop = ["-m", "fast"] if action != "start" else []
        # Its log goes to a file: the server would hold a pipe open after pg_ctl has ended.
        self.run(
            "pg_ctl",
            action,
            "-w",
            "-D",
            str(self.folder / "data"),
            "-o",
            settings,
            *stop,
            "-l",
            str(self.folder / "log"),
        )

    def client(self, name, *arguments, **options):
        """Run a client program against it."""
        where = ["-h", "127.0.0.1", "-p", str(self.port), "-U", "mlflow"]
        return self.run(name, *where, *arguments, **options)

    def query(self, text, database="mlflow"):
        """Give the rows of a query, as text."""
        out = self.client("psql", "-d", database, "-A", "-t", "-F", " ", "-c", text)
        return [line.split(" ") for line in out.decode().splitlines()]


def postgres_programs():
    """Give the folder with PostgreSQL's programs; skip, or fail where nothing may skip."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=_major)
    on_path = shutil.which("initdb")
    if found or on_path:
        return (found[-1] if found else Path(on_path)).parent
    reason = "PostgreSQL is not installed (apt-get install postgresql)"
    if REQUIRED:
        pytest.fail(reason)
    pytest.skip(reason)


def _major(path):
    name = path.parts[-3]
    return float(name) if name.replace(".", "", 1).isdigit() else 0.0


@contextmanager
def postgres_cluster():
    """Run a PostgreSQL cluster with an empty database `mlflow`, owned by the user `mlflow`."""
    programs = postgres_programs()
    folder = Path(tempfile.mkdtemp(prefix="rootstock-pg-"))  # pytest's folders are closed to others
    cluster = Postgres(programs, folder, free_port(), secrets.token_hex(16))
    try:
        password = folder / "password"
        password.write_text(cluster.password)
        if os.geteuid() == 0:
            shutil.chown(folder, "postgres")
            shutil.chown(password, "postgres")
        cluster.run(
            "initdb",
            "-D",
            str(folder / "data"),
            "-U",
            "mlflow",
            "--no-sync",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--locale=C",
            f"--pwfile={password}",
        )
        cluster.control("start")
        try:
            cluster.client("createdb", "mlflow")
            yield cluster
        finally:
            cluster.control("stop")
    finally:
        shutil.rmtree(folder)


def mlflow_server(folder, database_uri, artifacts, *, env=None, options=()):
    """Give an MLflow server that keeps artifacts itself, so that clients need no keys."""
    port = free_port()
    command = [
        sys.executable,
        "-m",
        "mlflow",
        "server",
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "--backend-store-uri",
        database_uri,
        "--artifacts-destination",
        artifacts,
        "--allowed-hosts",
        f"127.0.0.1:{port}",
        "--workers",
        "1",
        *options,
    ]
    settings = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    health = f"http://127.0.0.1:{port}/health"
    server = Server(
        command, folder / "mlflow.log", lambda: answers(health), env=settings | (env or {})
    )
    server.url = f"http://127.0.0.1:{port}"
    return server
