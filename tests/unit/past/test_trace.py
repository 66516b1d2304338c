"""From a number back to what made it, on a real database and a real git repository."""

import json
import subprocess

import pytest
import yaml

from pipeline.ground.errors import IntegrityError, ParamsError, TrackingError
from pipeline.past.trace import trace
from pipeline.past.trace_text import as_json, as_text
from pipeline.promotion.decisions import Draft, write_decision
from pipeline.repo.lock import AUDIT
from pipeline.track.connection import connect
from pipeline.track.result_run import settle_run
from tests.support.published import Project


def git(folder, *arguments):
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A published result with a version, not committed yet; the working folder is its tree."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    project = Project(tmp_path)
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".gitignore").write_text("mlflow*\n.rootstock\n")
    git(tmp_path, "init", "--quiet", "--initial-branch", "main")
    git(tmp_path, "add", "train.py", ".gitignore")
    git(tmp_path, "commit", "--quiet", "--message", "code")
    return project


def publish(project):
    server = connect("cells")
    run = settle_run(server, project.gathered())
    return server, run


def test_without_mlflow_the_working_tree_is_still_known(project):
    found = trace(project.folder, None)
    assert found.recorded.stages[-1] == "evaluate"
    assert found.fingerprint["cpu"] == "AVX2"
    assert not found.commit.is_found
    assert "MLflow" in found.unknown
    assert not (project.folder / "mlflow.db").exists()  # looking makes nothing
    text = as_text(found)
    assert "MLflow       unknown" in text
    assert "provisional" in text
    json.dumps(as_json(found))


def test_a_run_is_found_by_id_by_the_beginning_of_it_and_by_name(project):
    _, run = publish(project)
    for what in (run.info.run_id, run.info.run_id[:8], run.info.run_name):
        found = trace(project.folder, what)
        assert found.found.run.info.run_id == run.info.run_id
        assert found.key == run.data.tags["dvc.key"]
        assert not found.commit.is_found
    assert trace(project.folder, None).found.run.info.run_id == run.info.run_id


def test_the_commit_that_records_it_is_found_and_changed_params_are_marked(project):
    _, run = publish(project)
    git(project.folder, "add", "--all")
    git(project.folder, "commit", "--quiet", "--message", "result")
    project.set_param("train", epochs=5)
    found = trace(project.folder, run.info.run_id)
    assert found.commit.is_found
    assert found.commit.branches == ("main",)
    assert found.changed == {"train.epochs": (3, 5)}
    assert "* train.epochs  3   (working tree: 5)" in as_text(found)


def test_where_the_commit_is_gone_the_run_itself_speaks(project):
    _, run = publish(project)
    md5 = project.gathered().keys.model
    project.retrain("other weights")
    found = trace(project.folder, run.info.run_id)
    assert found.recorded.lock.where.startswith("dvc.lock of run ")
    assert found.recorded.keys.model == md5


def test_who_decided_and_on_what_evidence(project):
    _, run = publish(project)
    write_decision(
        project.folder / AUDIT,
        Draft(
            by="ada",
            action="promote",
            name="cells",
            model=run.data.tags["dvc.model"],
            key=run.data.tags["dvc.key"],
            version="1",
            aliases={},
            reason="better on accuracy",
            evidence={"gates": [{"is_passed": True, "text": "accuracy +0.02"}]},
        ),
    )
    text = as_text(trace(project.folder, run.info.run_id))
    assert "promote by ada" in text
    assert "better on accuracy" in text
    assert "passed  accuracy +0.02" in text


def test_a_damaged_audit_is_told(project):
    publish(project)
    (project.folder / AUDIT).mkdir()
    (project.folder / AUDIT / "note.txt").write_text("x")
    assert "audit" in trace(project.folder, None).unknown


@pytest.mark.parametrize(
    "what", ["nothing", "models:/cells@champion", "models:/cells/7", "models:/cells", "params.yaml"]
)
def test_what_is_not_there_is_one_line(project, what):
    publish(project)
    with pytest.raises(ParamsError):
        trace(project.folder, what)


def test_a_run_cannot_be_found_without_mlflow(project):
    with pytest.raises(TrackingError, match="no MLflow database"):
        trace(project.folder, "models:/cells/1")


def test_other_metrics_than_recorded_are_refused(project):
    (project.folder / "artifacts/evaluate/metrics.json").write_text("{}")
    with pytest.raises(IntegrityError, match="not the one that"):
        trace(project.folder, "artifacts/evaluate/metrics.json")


def test_stages_that_need_one_another_are_refused(project):
    stages = project.lock["stages"]
    stages["clean"]["deps"].append(stages["train"]["outs"][0])
    stages["transform"]["deps"].append(stages["clean"]["outs"][0])
    (project.folder / "dvc.lock").write_text(yaml.safe_dump(project.lock))
    with pytest.raises(IntegrityError, match="need one another"):
        trace(project.folder, None)
