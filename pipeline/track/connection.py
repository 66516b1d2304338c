"""Where runs are logged: the address, the settings, and the first use of the tracking server.

MLflow takes seconds to import and reads its environment while it does. So it is imported inside the
functions here, after `configure`, and nowhere above.

The address is `MLFLOW_TRACKING_URI`, else the database `mlflow.db` in the repository; artifacts of
such a database lie beside it, in `mlflow-artifacts`. A server keeps artifacts where it likes.
"""

import http.client
import importlib.util
import logging
import os
import re
import socket
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from pipeline.ground.errors import MachineError, TrackingError
from pipeline.ground.files import replacing
from pipeline.ground.locks import wait_for_lock
from pipeline.repo.state import state_folder
from pipeline.track.params import TrackingParams

if TYPE_CHECKING:
    from mlflow import MlflowClient

log = logging.getLogger(__name__)

T = TypeVar("T")

_QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "GIT_PYTHON_REFRESH": "quiet",
    # With MLflow's own 7 retries of 120 s, one call to a dead server blocks for four minutes.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
}
_FORCED = {
    "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
    # Its queue loses metrics without a word when the server dies.
    "MLFLOW_ENABLE_ASYNC_LOGGING": "false",
}

ADDRESS = "MLFLOW_TRACKING_URI"
SERVERS = ("http", "https")
_DATABASES = ("sqlite", "postgresql", "mysql", "mssql")

_PORTS = {"postgresql": 5432, "mysql": 3306, "mssql": 1433}
_HOST_AND_PORT = re.compile(r"[\w.-]+:\d+(/.*)?|\[[0-9a-fA-F:]+\]:\d+(/.*)?")
_AROUND = " \t\r\n\"'"
_SQLITE = b"SQLite format 3\0"
_PROBE_TIMEOUT_S = 2.0
_LOCK_TIMEOUT_S = 120.0
_PUBLISH_TIMEOUT_S = 1800.0
_HELD = "database is locked"
_HELD_TIMEOUT_S = 60.0
_HELD_PAUSE_S = 0.5
_AGAIN = "the next `dvc repro` completes the run"


@dataclass(frozen=True)
class Tracking:
    """An open way to the tracking server."""

    client: "MlflowClient"
    uri: str
    experiment_id: str


def tracking_uri() -> str:
    """Return the address of the tracking server or database."""
    return os.environ.get(ADDRESS) or f"sqlite:///{_root()}/mlflow.db"


def artifact_folder() -> Path:
    """Return the folder for artifacts of a database that no server stands before."""
    return _root() / "mlflow-artifacts"


def redact(uri: str) -> str:
    """Return an address without user name, password and query, for messages and tags."""
    return re.sub(r"^([\w+.-]+:/*)[^/]*@", r"\1", re.split(r"[?#]", uri)[0])


def configure() -> None:
    """Set what MLflow reads from the environment: no telemetry, no pickle, bounded waiting.

    What the user has set stays, but for pickle and asynchronous logging, which stay off.
    """
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    os.environ.update(_FORCED)


def connect(experiment: str) -> Tracking:
    """Open the way to the tracking server, and make the experiment if it is not there.

    Raises:
        TrackingError: The server is away, or the database cannot be used.
    """
    uri = tracking_uri()
    prepare(uri)
    with translated_errors(uri):
        return _open(uri, experiment)


def prepare(uri: str) -> None:
    """Check that a server or database is there; a sqlite database is made where it is missing.

    MLflow is imported only to make one: it takes 200 MB.

    Raises:
        TrackingError: The server is away, or the database cannot be used.
    """
    configure()
    probe(uri)
    if uri.startswith("sqlite:///") and not has_database(uri):
        with translated_errors(uri):
            ensure_schema(uri)


def _open(uri: str, experiment: str) -> Tracking:
    """Open a tracking store; a sqlite database that another process holds is waited for."""
    from sqlalchemy.exc import OperationalError

    deadline = time.monotonic() + _HELD_TIMEOUT_S
    while True:
        try:
            client = _client(uri)
            return Tracking(client, uri, _experiment_id(client, uri, experiment))
        except OperationalError as error:  # the first look waits for five seconds only
            if _HELD not in str(error) or time.monotonic() > deadline:
                raise
            log.info("%s is held by another process; waiting for it", redact(uri))
            time.sleep(_HELD_PAUSE_S)


def address_kind(uri: str) -> str:
    """Return what an address names: `http`, `https`, or the name of a database.

    Raises:
        TrackingError: It names neither a server nor a database.
    """
    scheme = uri.partition(":")[0].lower() if ":" in uri else ""
    kind = scheme.partition("+")[0]
    rest = uri[len(scheme) :]
    if kind in SERVERS and re.match("://[^/?#]", rest):
        return kind
    if kind in _DATABASES and rest.startswith(":///" if kind == "sqlite" else "://"):
        return kind
    raise TrackingError(
        ADDRESS,
        "must begin with http://, https://, sqlite:/// or postgresql://",
        got=redact(uri),
        remedy=_address_remedy(uri, kind),
    )


def _address_remedy(uri: str, kind: str) -> str:
    if uri != uri.strip(_AROUND):
        return "take away the blanks or quotes around it"
    if kind in (*SERVERS, *_DATABASES) and (rest := uri.partition(":")[2].lstrip("/")):
        return f"write {redact(kind + ('://', ':///')[kind == 'sqlite'] + rest)}"
    if kind == "postgres":
        return "write postgresql:// before the same address"
    if _HOST_AND_PORT.fullmatch(uri):
        return f"write http://{uri}"
    if kind == "file" or (kind == "" and re.search(r"[./]", uri)):
        return "MLflow keeps no new runs in folders; name a database, as sqlite:///mlflow.db"
    return "name a server or a database, or unset it: runs then go to mlflow.db"


def refuse_percent_sign(uri: str) -> None:
    """Refuse a database where the environment's path has a percent sign.

    MLflow gives the path of its own files to a parser that takes the sign for a variable.

    Raises:
        MachineError: It is so.
    """
    spec = importlib.util.find_spec("mlflow")  # importing it would take seconds
    if uri.partition(":")[0].lower() not in SERVERS and spec and "%" in str(spec.origin):
        raise MachineError(
            sys.prefix,
            "the path of the environment must have no percent sign: MLflow cannot open a "
            "database from there",
            remedy="move the clone, or make the environment elsewhere: "
            "`make VENV=$HOME/rootstock-venv repro`",
        )


def probe(uri: str) -> None:
    """Ask a server or database whether it is there; MLflow itself would try for minutes.

    Raises:
        MachineError: MLflow cannot open databases from where it is installed.
        TrackingError: The address is none, nothing answers, or it is no database.
    """
    address_kind(uri)
    refuse_percent_sign(uri)
    try:
        if uri.startswith(("http://", "https://")):
            _ask_health(redact(uri))
        elif uri.startswith("sqlite:///"):
            _look_at_file(database_file(uri))
        elif address := _address(uri):
            socket.create_connection(address, timeout=_PROBE_TIMEOUT_S).close()
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise _away(uri, str(error)) from error


def _ask_health(uri: str) -> None:
    try:
        urllib.request.urlopen(f"{uri.rstrip('/')}/health", timeout=_PROBE_TIMEOUT_S).close()
    except urllib.error.HTTPError as error:
        error.close()
        if error.code >= http.client.INTERNAL_SERVER_ERROR:
            raise


def _look_at_file(path: Path) -> None:
    if not os.access(path.parent, os.W_OK):
        raise ValueError("its folder is not there, or cannot be written")
    if _has_content(path):
        with path.open("rb") as stream:
            if stream.read(len(_SQLITE)) != _SQLITE:
                raise ValueError("the file is no SQLite database; move it away to begin a new one")


def database_file(uri: str) -> Path:
    """Return the file of a sqlite database, by its address."""
    return Path(uri.removeprefix("sqlite:///").partition("?")[0])


def has_database(uri: str) -> bool:
    """Return whether there is anything to look into: an empty sqlite file, or none, has nothing."""
    return not uri.startswith("sqlite:///") or _has_content(database_file(uri))


def _address(uri: str) -> tuple[str, int] | None:
    """Return host and port of a database server."""
    parts = urllib.parse.urlsplit(uri)
    port = parts.port or _PORTS.get(parts.scheme.partition("+")[0])
    return (parts.hostname, port) if parts.hostname and port else None


@contextmanager
def translated_errors(uri: str) -> Iterator[None]:
    """Turn what MLflow raises when a server or database fails into `TrackingError`.

    Its complaints about arguments are our own bugs, and pass.
    """
    from mlflow.exceptions import MlflowException
    from requests.exceptions import RequestException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except MlflowException as error:
        if error.error_code == "INVALID_PARAMETER_VALUE":
            raise
        raise _away(uri, str(error)) from error
    except (RequestException, SQLAlchemyError) as error:
        raise _away(uri, str(error)) from error


@contextmanager
def exclusive(name: str, *, timeout_s: float = _LOCK_TIMEOUT_S) -> Iterator[None]:
    """Hold a lock that all processes of this repository share, also under `dvc exp run --temp`.

    Raises:
        MachineError: Another process holds it for longer than `timeout_s`, or there are no file
            locks.
    """
    path = state_folder() / "locks" / f"mlflow-{name}.lock"  # stages have locks of their own
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as stream:
        if not wait_for_lock(stream, path, timeout_s=timeout_s):
            raise MachineError(
                path, "another process holds this lock", remedy="wait for it, or stop it"
            )
        yield


@contextmanager
def publishing() -> Iterator[None]:
    """Hold the lock of whoever writes results: those that run side by side take turns.

    Raises:
        MachineError: Another process holds it for half an hour.
    """
    with exclusive("mlflow-publish", timeout_s=_PUBLISH_TIMEOUT_S):
        yield


@contextmanager
def publishing_to(experiment: str) -> Iterator[Tracking]:
    """Take one's turn, and open the way to an experiment.

    Raises:
        MachineError: As `publishing`.
        TrackingError: As `connect`, and where the server goes away within the block.
    """
    with publishing():
        tracking = connect(experiment)
        with translated_errors(tracking.uri):
            yield tracking


def publish_to(params: TrackingParams, settle: Callable[[Tracking], T]) -> T | None:
    """Settle what is to be in an experiment, when it is one's turn.

    Returns:
        What `settle` gives; None where the server is away and `tracking.required` is false.

    Raises:
        MachineError: As `publishing`.
        TrackingError: The server is away, and `tracking.required` is true.
    """
    try:
        with publishing_to(params.experiment) as tracking:
            return settle(tracking)
    except TrackingError as error:
        if params.required:
            raise
        log.warning("%s", error)
        return None


def ensure_schema(uri: str) -> None:
    """Make the tables of a sqlite database that is not there yet.

    MLflow makes them at first use, in about a hundred steps; two processes at once, or a kill
    between two steps, leave a database that nothing can use. So: one process, under a lock, in a
    file that gets its name when it is whole.
    """
    path = database_file(uri)
    if _has_content(path):
        return
    with exclusive("mlflow-schema"):
        if not _has_content(path):
            from mlflow import MlflowClient

            log.info("making the MLflow database %s, once", path)
            with replacing(path) as scratch:
                MlflowClient(tracking_uri=f"sqlite:///{scratch}").search_experiments(max_results=1)


def _has_content(path: Path) -> bool:
    return path.exists() and path.stat().st_size > 0


def _root() -> Path:
    return state_folder().parent.resolve()


def _client(uri: str) -> "MlflowClient":
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    try:
        return MlflowClient(tracking_uri=uri, registry_uri=uri)
    except MlflowException as error:  # whatever its code: an address that MLflow does not take
        raise _away(uri, str(error)) from error


def _experiment_id(client: "MlflowClient", uri: str, name: str) -> str:
    from mlflow.exceptions import MlflowException

    location = None if uri.startswith("http") else artifact_folder().as_uri()
    found = client.get_experiment_by_name(name)
    if found is None:
        try:
            return client.create_experiment(name, artifact_location=location)
        except MlflowException as error:  # another process was faster
            found = client.get_experiment_by_name(name)
            if found is None:
                raise _away(uri, str(error)) from error
    if found.lifecycle_stage != "active":
        raise TrackingError(
            "params.yaml",
            "this experiment is deleted in MLflow",
            field="tracking.experiment",
            got=name,
            remedy=f"run `mlflow experiments restore -x {found.experiment_id}`, or take another "
            "name",
        )
    return str(found.experiment_id)


def _away(uri: str, reason: str) -> TrackingError:
    first = reason.strip().splitlines()[0][:300] if reason.strip() else "no reason given"
    return TrackingError(redact(uri), f"the tracking server cannot be used: {first}", remedy=_AGAIN)
