"""Every test gets a clean environment; tests that publish get a repository with a database."""

import contextlib
import math
import os
import shutil
import sys
from pathlib import Path
from unittest import mock

import hypothesis
import pytest

from tests.support.closure import ROOT
from tests.support.prepared import Prepared, empty_database
from tests.support.times import known

hypothesis.settings.register_profile("fixed", deadline=None, derandomize=True)
hypothesis.settings.load_profile("fixed" if "ROOTSTOCK_FUZZ" not in os.environ else "default")

_OURS = ("MLFLOW_", "DVC_", "ROOTSTOCK_", "GIT_", "GOMP_", "OMP_WAIT_")


def pytest_collection_modifyitems(config, items):
    """Begin with the files that take longest: one that comes last keeps all but one core idle.

    How long they take, docs/testing.md says; files of slow tests that it does not have come first.
    """
    column = int(config.option.markexpr == "slow")
    seconds = {ROOT / name: row[column] for name, row in known().items()}
    if column:
        new = {item.path for item in items if item.get_closest_marker("slow")} - seconds.keys()
        seconds |= dict.fromkeys(new, math.inf)
    items.sort(key=lambda item: -seconds.get(item.path, 0))


@pytest.fixture(autouse=True)
def clean_environment():
    """Hide what the caller's shell says to our tools; undo what a test changes, its folder too."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
    with mock.patch.dict(os.environ, kept, clear=True), contextlib.chdir(Path.cwd()):
        yield


@pytest.fixture(scope="session", autouse=True)
def prepared_folder(tmp_path_factory):
    """Say where what is prepared once for all workers lies."""
    shared = tmp_path_factory.getbasetemp()
    Prepared.folder = shared.parent if os.environ.get("PYTEST_XDIST_WORKER") else shared


@pytest.fixture(scope="session")
def mlflow_template():
    """Give an empty MLflow database; to make one takes ten seconds, to copy it none."""
    return empty_database()


@pytest.fixture
def repository(tmp_path, monkeypatch, mlflow_template):
    """Enter an empty repository whose MLflow database is there; nothing is followed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.setenv("ROOTSTOCK_FOLLOW", "0")
    shutil.copyfile(mlflow_template, tmp_path / "mlflow.db")
    yield tmp_path
    _close_databases(tmp_path)


def _close_databases(folder):
    """Close what MLflow keeps open for as long as a process lives, four files a database."""
    for kind in ("tracking", "model_registry"):
        module = sys.modules.get(f"mlflow.store.{kind}.sqlalchemy_store")
        engines = module.SqlAlchemyStore._engine_map if module else {}
        for address, engine in engines.items():
            if str(folder) in address:
                engine.dispose()


@pytest.fixture
def tracking(repository):
    """Give the way to the experiment that the results of `tests.support.published` go to."""
    from pipeline.track.connection import connect
    from tests.support.published import TRACKING

    return connect(TRACKING.experiment)
