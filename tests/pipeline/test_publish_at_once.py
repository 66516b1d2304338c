"""Clones that publish one result in the same second agree on one run."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from mlflow import MlflowClient

from pipeline.track.projection import settle_run
from pipeline.track.runs import is_complete
from pipeline.track.tracking import connect
from pipeline.track.view import put_view
from tests.published import TRACKING, Project

CLONES = 2


@pytest.fixture
def project(repository):
    return Project(repository)


def runs(tracking):
    return tracking.client.search_runs([tracking.experiment_id])


def settle(project):
    """Publish as another clone does: with a client of its own."""
    return settle_run(connect(TRACKING.experiment), project.outcome()).info.run_id


def at_first(monkeypatch, name, action):
    """Do something just before the first call of a method of the client."""
    real = getattr(MlflowClient, name)

    def called(self, *args, **kwargs):
        monkeypatch.setattr(MlflowClient, name, real)
        action()
        return real(self, *args, **kwargs)

    monkeypatch.setattr(MlflowClient, name, called)


def assert_one(tracking, run_id):
    (run,) = runs(tracking)
    assert run.info.run_id == run_id
    assert is_complete(run)
    assert run.info.status == "FINISHED"
    assert run.data.metrics["accuracy"] == 0.875
    assert run.data.params["optim.lr"] == "1e-05"


def test_both_looked_before_either_began(tracking, project, monkeypatch):
    begun = threading.Barrier(CLONES, timeout=60)
    real = MlflowClient.create_run

    def wait_and_create(self, *args, **kwargs):
        begun.wait()
        return real(self, *args, **kwargs)

    monkeypatch.setattr(MlflowClient, "create_run", wait_and_create)
    with ThreadPoolExecutor(CLONES) as pool:
        found = list(pool.map(settle, [project] * CLONES))
    assert len(set(found)) == 1
    assert_one(tracking, found[0])


def test_one_slept_between_looking_and_beginning(tracking, project, monkeypatch):
    """The other one is complete by then, though it has the later start."""
    other = []
    at_first(monkeypatch, "create_run", lambda: other.append(settle(project)))
    assert settle(project) == other[0]
    assert_one(tracking, other[0])


def test_the_other_one_began_first_and_died(tracking, project, monkeypatch):
    tags = project.outcome().tags()
    other = []

    def begin():
        run = tracking.client.create_run(tracking.experiment_id, start_time=1, tags=tags)
        other.append(run.info.run_id)

    at_first(monkeypatch, "create_run", begin)
    assert settle(project) == other[0]
    assert_one(tracking, other[0])
    assert settle(project) == other[0]


def test_the_view_of_an_experiment_may_be_put_by_all_at_once(repository):
    """Two that store one tag in the same moment: MLflow refuses one of them, now and then."""
    metrics = {"accuracy": 0.875}
    with ThreadPoolExecutor(CLONES) as pool:
        for number in range(30):
            clones = [connect(f"cells {number}") for _ in range(CLONES)]
            assert list(pool.map(lambda clone: put_view(clone, metrics), clones)) == [None] * CLONES
