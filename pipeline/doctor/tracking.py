"""Where runs will be logged: does it answer, is it MLflow, and may we?"""

import base64
import importlib.metadata
import os
import re
import sqlite3
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Generator, Iterator
from dataclasses import replace
from http import HTTPStatus
from http.client import HTTPException

from pipeline.ground.errors import TrackingError
from pipeline.ground.findings import Finding, demoted, fault, fixed, ok, warn
from pipeline.track.connection import (
    ADDRESS,
    SERVERS,
    address_kind,
    artifact_folder,
    database_file,
    probe,
    redact,
    refuse_percent_sign,
    tracking_uri,
)
from pipeline.track.database import Condition, is_deleted_experiment, look_at_database, set_aside
from pipeline.track.params import TrackingParams

_TIMEOUT_S = 2.0

_FAULTS: dict[Condition, tuple[str, str]] = {
    "half-made": (
        "MLflow was stopped while it made its tables, and refuses this database for good",
        "run `rootstock doctor --fix`",
    ),
    "damaged": ("is damaged, or no SQLite database", "run `rootstock doctor --fix`"),
    "foreign": (
        "is a SQLite database of something else",
        f"set {ADDRESS} to another file, or move this one away",
    ),
    "older": ("its tables are of an older MLflow", "copy it, then run `mlflow db upgrade`"),
    "newer": ("its tables are of a newer MLflow", "run `make install`, or set it aside"),
}
_FIXABLE = ("half-made", "damaged")


def check_tracking(tracking: TrackingParams, *, fix: bool) -> Generator[Finding, None, None]:
    """Ask the server or look at the database, for seconds at most.

    What is wrong is a warning, since training goes on without MLflow, but where
    `tracking.required` is true.
    """
    uri = tracking_uri()
    try:
        yield from _look(uri, tracking, fix=fix)
    except TrackingError as error:
        yield _told(error, is_required=tracking.required)


def _told(error: TrackingError, *, is_required: bool) -> Finding:
    if is_required:
        return fault(error)
    finding = demoted(error)
    meanwhile = "runs are kept in journals until it is mended"
    return replace(
        finding, remedy=f"{finding.remedy}; {meanwhile}" if finding.remedy else meanwhile
    )


def _look(uri: str, tracking: TrackingParams, *, fix: bool) -> Iterator[Finding]:
    kind = address_kind(uri)
    refuse_percent_sign(uri)
    if kind in SERVERS:
        probe(uri)
        yield _server(uri)
        return
    _require_driver(uri)
    if kind != "sqlite":
        probe(uri)
        yield ok(redact(uri), "the database server answers")
        return
    yield from _file(uri, tracking, fix=fix)
    folder = artifact_folder()
    if not os.access(folder if folder.exists() else folder.parent, os.W_OK):
        raise TrackingError(folder, "artifacts cannot be written there", remedy="mend its access")


def _file(uri: str, tracking: TrackingParams, *, fix: bool) -> Iterator[Finding]:
    path = database_file(uri)
    try:
        condition = look_at_database(path)
    except sqlite3.OperationalError as error:
        raise TrackingError(
            path.name,
            f"cannot be looked at: {error}",
            remedy="look again later, or mend its access",
        ) from error
    if condition in _FIXABLE and fix:
        kept = set_aside(path)
        yield fixed(
            path.name,
            f"could not be used, and is now {kept.name}; the next `rootstock "
            "repro` makes a new one and brings the present result there, epochs from its "
            "journal",
        )
    elif condition in _FAULTS:
        text, remedy = _FAULTS[condition]
        raise TrackingError(path.name, text, remedy=remedy)
    elif condition == "absent":
        probe(uri)
        yield ok(path.name, "is not there yet; the first run makes it")
    elif is_deleted_experiment(path, tracking.experiment):
        raise TrackingError(
            "params.yaml",
            "this experiment is deleted in MLflow",
            field="tracking.experiment",
            got=tracking.experiment,
            remedy="take another name, or `mlflow experiments restore`",
        )
    else:
        yield ok(path.name, "MLflow's database, in the version of the installed MLflow")


def _require_driver(uri: str) -> None:
    """Check that Python has the module that SQLAlchemy takes for this address."""
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import SQLAlchemyError

    try:
        make_url(uri).get_dialect().import_dbapi()
    except ImportError as error:
        hint = "run `pip install 'psycopg[binary]'`, or write postgresql+psycopg2:// where that is "
        hint += "installed"
        raise TrackingError(
            redact(uri),
            f"needs the Python package {error.name!r}, which is not installed",
            remedy=hint if "postgresql" in uri else f"run `pip install {error.name}`",
        ) from error
    except (SQLAlchemyError, ValueError) as error:
        raise TrackingError(redact(uri), f"is no address of a database ({error})") from error


def _server(uri: str) -> Finding:
    """Ask a server that answers for MLflow's version, with the credentials that MLflow will use."""
    where = redact(uri).rstrip("/")
    request = urllib.request.Request(f"{where}/version", headers=_credentials(uri))
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer:
            found = answer.read(100).decode("utf-8", "replace").strip()
    except urllib.error.HTTPError as error:
        error.close()
        raise _refused(where, error.code) from error
    except (OSError, HTTPException, ValueError) as error:
        raise TrackingError(where, f"answers, and then does not ({error})") from error
    if not re.fullmatch(r"\d+\.\d+[\w.]*", found):
        raise TrackingError(
            where,
            "something answers there, and it is no MLflow server",
            remedy=f"correct {ADDRESS}, with its port and path",
        )
    ours = importlib.metadata.version("mlflow")
    if found.split(".")[0] != ours.split(".")[0]:
        return warn(where, f"MLflow {found}, where {ours} is installed here", "use one version")
    return ok(where, f"MLflow {found} answers")


def _refused(where: str, code: int) -> TrackingError:
    if code in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        return TrackingError(
            where,
            f"refuses us with status {code}",
            remedy="set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD; 403 may also be its "
            "--allowed-hosts",
        )
    return TrackingError(
        where,
        f"something answers there with status {code}, and it is no MLflow server",
        remedy=f"correct {ADDRESS}, with its port and path",
    )


def _credentials(uri: str) -> dict[str, str]:
    token = os.environ.get("MLFLOW_TRACKING_TOKEN")
    if token:
        return {"Authorization": f"Bearer {token}"}
    parts = urllib.parse.urlsplit(uri)
    user = os.environ.get("MLFLOW_TRACKING_USERNAME") or urllib.parse.unquote(parts.username or "")
    secret = os.environ.get("MLFLOW_TRACKING_PASSWORD") or urllib.parse.unquote(
        parts.password or ""
    )
    if not user:
        return {}
    return {"Authorization": f"Basic {base64.b64encode(f'{user}:{secret}'.encode()).decode()}"}
