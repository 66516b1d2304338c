"""Clones that publish one result in the same second agree on one run."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from mlflow import MlflowClient

from pipeline.track import claim as agree
from pipeline.track.branches.crossval import fold_result
from pipeline.track.branches.suspects import suspects_result
from pipeline.track.connection import connect
from pipeline.track.result_run import settle_run
from pipeline.track.runs import is_complete
from tests.pipeline.test_publish_crossval import FILES as FOLD_FILES
from tests.pipeline.test_publish_crossval import FOLDS, Folds
from tests.pipeline.test_publish_suspects import FILES, Suspects
from tests.support.clones import at_once
from tests.support.published import TRACKING, Project

pytestmark = pytest.mark.slow

CLONES = 2


@pytest.fixture
def project(repository):
    return Project(repository)


def runs(tracking):
    return tracking.client.search_runs([tracking.experiment_id])


def settle(project):
    """Publish as another clone does: with a client of its own."""
    return settle_run(connect(TRACKING.experiment), project.gathered()).info.run_id


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
    tags = project.gathered().tags()
    other = []

    def begin():
        run = tracking.client.create_run(tracking.experiment_id, start_time=1, tags=tags)
        other.append(run.info.run_id)

    at_first(monkeypatch, "create_run", begin)
    assert settle(project) == other[0]
    assert_one(tracking, other[0])
    assert settle(project) == other[0]


# --- one key, two models: what one trained on another machine, with other bits

OTHER_MODEL = """
from tests.support.published import TRACKING, Project
from pipeline.track.result_run import settle_run
from pipeline.track.connection import connect
project = Project(Path("."))
if NUMBER:
    project.retrain("other bits", shift=1e-5, fingerprint={"cpu": "other"})
result = project.gathered()
run = settle_run(connect(TRACKING.experiment), result)
print(json.dumps([run.info.run_id, result.keys.key, result.keys.model]))
"""


def test_one_key_with_two_models_is_one_run_which_the_other_confirms(tracking, tmp_path):
    folders = [tmp_path / name for name in ("ada", "ben", "marks")]
    for folder in folders:
        folder.mkdir()
    found = at_once(
        folders[:2], OTHER_MODEL, meet="create_run", uri=tracking.uri, scratch=folders[2]
    )
    (run_id,) = {each[0] for each in found}
    assert len({each[1] for each in found}) == 1, "one key"
    models = {each[2] for each in found}
    assert len(models) == 2
    assert_one(tracking, run_id)
    tags = runs(tracking)[0].data.tags
    (later,) = models - {tags["dvc.model"]}
    confirmed = json.loads(tags[f"confirmed.{later[:8]}"])
    assert confirmed["dvc.model"] == later
    assert confirmed["largest_difference"] == pytest.approx(1e-5, rel=0.1)
    assert confirmed["comparison"].endswith("yes")


def test_who_finds_the_other_at_work_waits_for_it_and_in_vain_for_a_dead_one(
    tracking, project, monkeypatch
):
    """The other one began with another model, and is complete a moment later, or never."""
    monkeypatch.setattr(agree, "_OTHER_S", 30.0)
    tags = project.gathered().tags() | {"dvc.model": "0" * 32}
    begun = tracking.client.create_run(tracking.experiment_id, start_time=9, tags=tags).info.run_id

    def end():
        tracking.client.set_tag(begun, "publish.complete", "true")

    timer = threading.Timer(2.0, end)
    timer.start()
    assert settle(project) == begun
    timer.join()
    assert f"confirmed.{project.gathered().keys.model[:8]}" in runs(tracking)[0].data.tags
    tracking.client.delete_tag(begun, "publish.complete")
    monkeypatch.setattr(agree, "_OTHER_S", 0.0)
    assert_one(tracking, settle(project))
    assert runs(tracking)[0].info.run_id != begun


# --- side branches


def both_begin(monkeypatch):
    """Let both clones look before either begins; what they begin later, they begin alone."""
    begun = threading.Barrier(CLONES, timeout=60)
    mine, real = threading.local(), MlflowClient.create_run

    def wait_and_create(self, *args, **kwargs):
        if not hasattr(mine, "begun"):
            mine.begun = True
            begun.wait()
        return real(self, *args, **kwargs)

    monkeypatch.setattr(MlflowClient, "create_run", wait_and_create)


def settle_side(result):
    """Publish as another clone does: with a client of its own."""
    return settle_run(connect(TRACKING.experiment), result).info.run_id


def assert_one_family(tracking, run_id, nested):
    found = {run.info.run_id: run for run in runs(tracking)}
    parent = found.pop(run_id)
    assert sorted(run.info.run_name for run in found.values()) == sorted(nested)
    assert {run.data.tags["mlflow.parentRunId"] for run in found.values()} <= {run_id}
    for run in (parent, *found.values()):
        assert is_complete(run)
        assert run.info.status == "FINISHED"


def folds():
    Folds()
    return fold_result(**FOLD_FILES), FOLDS


def suspects():
    Suspects()
    return suspects_result(**FILES), ()


@pytest.mark.parametrize("make", [folds, suspects])
def test_a_side_branch_that_both_looked_for_before_either_began(tracking, monkeypatch, make):
    result, nested = make()
    both_begin(monkeypatch)
    with ThreadPoolExecutor(CLONES) as pool:
        found = list(pool.map(settle_side, [result] * CLONES))
    assert len(set(found)) == 1
    assert_one_family(tracking, found[0], nested)
    assert settle_side(result) == found[0]


@pytest.mark.parametrize("make", [folds, suspects])
def test_a_side_branch_whose_publisher_slept_between_looking_and_beginning(
    tracking, monkeypatch, make
):
    result, nested = make()
    other = []
    at_first(monkeypatch, "create_run", lambda: other.append(settle_side(result)))
    assert settle_side(result) == other[0]
    assert_one_family(tracking, other[0], nested)


def test_an_attempt_that_was_killed_is_completed_by_both_at_once(tracking, monkeypatch):
    """Both find the parent that it left, and both begin the missing folds in it."""
    result, nested = folds()
    at_first(monkeypatch, "set_terminated", lambda: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        settle_side(result)
    first = tracking.client.search_runs([tracking.experiment_id], "tags.`crossval.fold` LIKE '%'")
    tracking.client.delete_run(first[0].info.run_id)
    both_begin(monkeypatch)
    with ThreadPoolExecutor(CLONES) as pool:
        found = list(pool.map(settle_side, [result] * CLONES))
    assert len(set(found)) == 1
    assert_one_family(tracking, found[0], nested)
