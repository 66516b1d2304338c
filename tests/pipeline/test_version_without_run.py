"""A registered version whose run was deleted: every command says so once, and loses nothing."""

import logging
import os
from unittest import mock

import pytest
import yaml

from pipeline.cli import main
from pipeline.past.trace import trace
from pipeline.promotion import contest
from pipeline.promotion.decisions import read_audit
from pipeline.promotion.promotion import decide_published
from pipeline.track.connection import connect
from pipeline.version.package import quiet_mlflow
from pipeline.version.registry import read_aliases
from pipeline.version.version_run import run_of
from tests.pipeline.test_sync_history import Recorded, numbers, runs, sync
from tests.support.contenders import Ring
from tests.support.published import PARAMS

GOOD = [number for number in range(80) if number % 4]
WORDS = {"trash": "is in MLflow's trash", "collected": "is gone"}


@pytest.fixture(params=WORDS)
def how(request):
    return request.param


@pytest.fixture(autouse=True)
def kept_logging():
    """`main` sends what is logged to a stream that the test closes."""
    root = logging.getLogger()
    before = root.handlers[:]
    yield
    root.handlers[:] = before


def lose(tracking, number, how):
    """Delete the run of a version, as a person does, and empty the trash, as `mlflow gc` does."""
    version = tracking.client.get_model_version("cells", str(number))
    tracking.client.delete_run(version.run_id)
    if how == "collected":
        with quiet_mlflow():
            from mlflow.cli import gc
        with mock.patch.dict(os.environ, {"MLFLOW_TRACKING_URI": tracking.uri}):
            gc.main(
                ["--backend-store-uri", tracking.uri, "--run-ids", version.run_id],
                standalone_mode=False,
            )
    return version.run_id


# --- results that git and DVC record


@pytest.fixture
def project(repository, monkeypatch):
    monkeypatch.delenv("DVC_ROOT")
    project = Recorded(repository)
    project.result(0.5)
    sync()
    return project


def test_lineage_still_leads_to_the_commit_and_says_what_is_missing(project, how, capsys):
    run_id = lose(connect("cells"), 1, how)
    assert main(["lineage", "models:/cells/1"]) == 0
    out, _ = capsys.readouterr()
    (line,) = [line for line in out.splitlines() if "rootstock sync" in line]
    assert line.startswith(f"unknown      run: its run {run_id} ")
    assert WORDS[how] in line
    assert ("mlflow runs restore --run-id" in line) is (how == "trash")
    assert project.git("rev-parse", "HEAD")[:12] in out
    assert "run     gone" in out


def test_what_no_commit_has_cannot_be_made_again_and_says_why(project, how, capsys):
    """Its run was the only one to know the patch; the remedy is told where there is one."""
    project.git("commit", "--quiet", "--amend", "--message", "nothing", "--allow-empty")
    project.git("rm", "--quiet", "--cached", "dvc.lock")
    project.git("commit", "--quiet", "--amend", "--message", "without")
    project.git("reflog", "expire", "--expire=now", "--all")
    run_id = lose(connect("cells"), 1, how)
    assert main(["reproduce", "models:/cells/1"]) == 5
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("error: models:/cells/1: cannot be made again: its ")
    assert f"its run {run_id}" in last
    assert WORDS[how] in last


def test_sync_brings_the_run_back_and_the_version_keeps_its_number(project, how):
    tracking = connect("cells")
    before = runs(tracking)
    run_id = lose(tracking, 1, how)
    assert runs(tracking) == []
    found = sync()
    assert [each.is_wrong for each in found if each.kind == "result"] == [False]
    (run,) = runs(tracking)
    assert (run.info.run_id == run_id) is (how == "trash")
    assert run.data.metrics == before[0].data.metrics
    assert run.data.params == before[0].data.params
    assert list(numbers(tracking)) == [1]
    version = tracking.client.get_model_version("cells", "1")
    assert run_of(tracking.client, version).info.run_id == run.info.run_id
    assert "run" not in trace(project.folder, "models:/cells/1").unknown
    sync()
    assert [each.info.run_id for each in runs(tracking)] == [run.info.run_id]


# --- decisions


@pytest.fixture
def ring(repository, monkeypatch):
    """Two champions, one after the other, and a candidate that waits and would win."""
    made = Ring(repository, connect("cells"))
    monkeypatch.setattr(contest, "ask", made.answer)
    (repository / "params.yaml").write_text(yaml.safe_dump(PARAMS))
    for model, wrong in (("a", GOOD[:40]), ("b", GOOD[:20])):
        decide_published(made.arena, made.enter(model, wrong))
    made.enter("c", GOOD[:2])
    return made


def state(ring):
    return read_audit(), read_aliases(ring.tracking, "cells")


@pytest.mark.parametrize(
    ("number", "who"), [(3, "of version 3"), (2, "of the champion, version 2")]
)
def test_nothing_is_decided_without_the_run_of_both(ring, how, number, who, capsys):
    before, run_id = state(ring), lose(ring.tracking, number, how)
    assert main(["promote", "3"]) == 5
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith(f"error: models:/cells/3: cannot be decided on: {who}, its run {run_id}")
    assert WORDS[how] in last
    assert last.endswith("then `rootstock promote`)")
    assert state(ring) == before
    assert main(["promote", "3", "--override", "--reason", "it must serve today"]) == 0
    assert read_aliases(ring.tracking, "cells")["champion"] == "3"


def test_publishing_waits_where_the_champion_cannot_be_measured(ring, caplog):
    decisions, _ = state(ring)
    lose(ring.tracking, 2, "collected")
    decide_published(ring.arena, ring.tracking.client.get_model_version("cells", "3"))
    assert state(ring) == (decisions, {"candidate": "3", "champion": "2"})
    assert "cannot be decided on: of the champion, version 2" in caplog.text


def test_a_rollback_needs_no_run_and_says_that_there_is_none(ring, how, capsys):
    run_id = lose(ring.tracking, 1, how)
    assert main(["rollback", "--reason", "it misses cracks"]) == 0
    assert read_aliases(ring.tracking, "cells")["champion"] == "1"
    assert read_audit()[-1].action == "rollback"
    told = [line for line in capsys.readouterr().err.splitlines() if run_id in line]
    assert len(told) == 1
    assert WORDS[how] in told[0]
    assert "it serves all the same" in told[0]
    assert main(["audit"]) == 0
