"""What many tests begin with and one of them makes: an empty database, a finished small project.

Each is in the folder of this run of pytest, for all its workers. The first one that asks makes it,
the others wait. A test takes a copy.
"""

import os
import shutil
from contextlib import contextmanager
from unittest import mock

from pipeline.ground.locks import wait_for_lock


class Prepared:
    """The folder of what is prepared; `tests/conftest.py` sets it."""

    folder = None


@contextmanager
def _made(name):
    """Yield the path of a prepared thing, and whether it is to be made here."""
    path = Prepared.folder / name
    with (Prepared.folder / f"{name}.lock").open("w") as lock:
        assert wait_for_lock(lock, path, timeout_s=900)
        yield path, not path.exists()


def empty_database():
    """Return a database as MLflow makes it, which takes ten seconds."""
    from pipeline.track.connection import configure, ensure_schema

    with _made("mlflow-template.db") as (path, is_new):
        if is_new:
            with mock.patch.dict(os.environ, {"DVC_ROOT": str(Prepared.folder)}):
                configure()
                ensure_schema(f"sqlite:///{path}")
    return path


def finished_cache(make):
    """Return DVC's cache of a finished small project, with its run cache.

    Args:
        make: Makes the project in a folder that does not exist.
    """
    with _made("finished-cache") as (path, is_new):
        if is_new:
            scratch = Prepared.folder / "unfinished"
            shutil.rmtree(scratch, ignore_errors=True)
            make(scratch)
            (scratch / ".dvc" / "cache").rename(path)
    return path
