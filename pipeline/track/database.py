"""The sqlite database of MLflow, looked at from outside: is it one that MLflow can use?

MLflow makes and upgrades its tables in about a hundred steps. Two processes at once, or a kill
between two steps, leave a database that it refuses for good.
"""

import importlib.util
import re
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Literal

Condition = Literal["absent", "sound", "half-made", "foreign", "older", "newer", "damaged"]
"""`foreign`: SQLite, and not MLflow's; `older` and `newer`: of another version of MLflow."""

_BUSY_S = 2.0
_LEFTOVER = "_alembic_tmp_"


def look_at_database(path: Path) -> Condition:
    """Return what a database file is; a write that was cut is rolled back, as by any reader.

    Raises:
        OSError: The file cannot be read.
        sqlite3.OperationalError: It cannot be looked at now: another process holds it for long, or
            access is refused.
    """
    if not path.exists() or path.stat().st_size == 0:
        return "absent"
    try:
        with closing(_open(path)) as database:
            return _judge(database)
    except sqlite3.OperationalError:
        raise
    except sqlite3.DatabaseError:  # its header or its pages are wrong
        return "damaged"


def _judge(database: sqlite3.Connection) -> Condition:
    tables = _column(database, "select name from sqlite_master where type = 'table'")
    if "alembic_version" not in tables:
        return "half-made" if "experiments" in tables else "foreign"
    if database.execute("pragma quick_check(1)").fetchone() != ("ok",):
        return "damaged"
    condition = _compare(_column(database, "select version_num from alembic_version"))
    if condition != "older":  # after the last step, what an earlier one left is no matter
        return condition
    was_cut = any(name.startswith(_LEFTOVER) for name in tables)
    has_runs = "runs" in tables and database.execute("select 1 from runs").fetchone() is not None
    return "older" if has_runs and not was_cut else "half-made"


def is_deleted_experiment(path: Path, name: str) -> bool:
    """Return whether a sound database has an experiment of this name that was deleted."""
    query = "select 1 from experiments where name = ? and lifecycle_stage = 'deleted'"
    with closing(_open(path)) as database:
        return database.execute(query, (name,)).fetchone() is not None


def set_aside(path: Path) -> Path:
    """Rename a database that cannot be used, so that the next run makes a new one."""
    number = 1
    while (target := path.with_name(f"{path.name}.broken-{number}")).exists():
        number += 1
    for suffix in ("", "-journal", "-wal", "-shm"):
        part = path.with_name(path.name + suffix)
        if part.exists():
            part.rename(target.with_name(target.name + suffix))
    return target


def _open(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, timeout=_BUSY_S)


def _column(database: sqlite3.Connection, query: str) -> list[str]:
    return [str(row[0]) for row in database.execute(query)]


def _compare(found: list[str]) -> Condition:
    """Compare the revision that the tables have with those that the installed MLflow knows."""
    revisions = _revisions()
    heads = set(revisions) - {before for before in revisions.values() if before}
    if not found:
        return "half-made"
    if not heads or set(found) == heads:
        return "sound"
    return "older" if set(found) <= set(revisions) else "newer"


def _revisions() -> dict[str, str | None]:
    """Return every revision of the tables and the one before it, read from MLflow's files."""
    spec = importlib.util.find_spec("mlflow")  # importing it would take seconds
    folder = (
        Path(spec.origin).parent / "store/db_migrations/versions"
        if (spec and spec.origin)
        else None
    )
    known: dict[str, str | None] = {}
    for path in sorted(folder.glob("*.py")) if folder else ():
        text = path.read_text(encoding="utf-8")
        names = dict(
            re.findall(r"^(revision|down_revision)\b[^=\n]*= *[\"'](\w+)[\"']", text, re.M)
        )
        if "revision" in names:
            known[names["revision"]] = names.get("down_revision")
    return known
