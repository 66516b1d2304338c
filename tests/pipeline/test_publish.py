"""A distinct result has exactly one complete run, whatever was cached, touched or deleted."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from pipeline.ground.errors import ParamsError
from pipeline.keys.journal import Journal, journal_path, read_journal
from pipeline.publish import publish
from pipeline.repo.git import GitError
from pipeline.track import claim as agree
from pipeline.track import result_run
from pipeline.track.connection import connect
from pipeline.track.follow import Stream
from pipeline.track.main_result import PREDICTIONS
from pipeline.track.result_run import settle_run
from pipeline.track.runs import find_runs, is_complete
from tests.support.published import (
    FINGERPRINT,
    HISTORY,
    REGISTRY,
    RESULTS,
    TRACKING,
    Project,
    read_note,
)

OTHER = FINGERPRINT | {"cpu": "AVX512"}


@pytest.fixture
def project(repository):
    return Project(repository)


def runs(tracking):
    return tracking.client.search_runs([tracking.experiment_id])


def settle(tracking, project):
    return settle_run(tracking, project.gathered())


def stream(project, epochs=3, *, status="FINISHED"):
    """Train with a journal, and stream it as the follower does."""
    key = project.gathered().keys.train
    with Journal.open(key, {"params": {"optim": {"lr": 1e-05}}}, first_epoch=1) as log:
        for row in HISTORY[:epochs]:
            log.epoch(row["epoch"], {k: v for k, v in row.items() if k != "epoch"})
    follower = Stream(key, project.params, TRACKING.experiment)
    follower.send(read_journal(journal_path(key)), status=status)
    return key


def test_a_late_follower_leaves_no_run_beside_the_published_one(tracking, project, monkeypatch):
    key = stream(project, epochs=1, status="RUNNING")
    run = settle(tracking, project)
    record = read_journal(journal_path(key))
    late = Stream(key, project.params, TRACKING.experiment)
    with monkeypatch.context() as patch:  # it looked before that run was there
        patch.setattr("pipeline.track.follow.find_runs", lambda *_: [])
        late.send(record, status="RUNNING")
    assert len(runs(tracking)) == 2
    late.send(record, status="FINISHED")
    late.send(record, status="FINISHED")
    (left,) = runs(tracking)
    assert left.info.run_id == run.info.run_id


def curve(tracking, run, name="train_loss"):
    points = tracking.client.get_metric_history(run.info.run_id, name)
    return [(point.step, point.value) for point in sorted(points, key=lambda p: p.step)]


def test_a_run_says_everything(tracking, project):
    run = settle(tracking, project)
    keys = project.gathered().keys
    tags, params, metrics = run.data.tags, run.data.params, run.data.metrics
    assert run.info.status == "FINISHED"
    assert run.info.run_name == f"head-{keys.key[:7]}-test_vit"
    assert tags["dvc.key"] == tags["dvc.keys"] == keys.key
    assert (tags["dvc.train"], tags["dvc.model"]) == (keys.train, keys.model)
    assert tags["dvc.data"] == "d" * 32 + ".dir"
    assert tags["weights.sha256"] == "5" * 64
    assert json.loads(tags["fingerprint"]) == FINGERPRINT
    assert params["optim.lr"] == "1e-05"
    assert params["task"] == "classification"
    assert params["chosen.transform.resize"] == "center"
    assert (params["chosen.kept.epoch"], params["chosen.kept.share"]) == ("3", "0.5")
    assert not {name for name in params if name.startswith(("tracking", "registry"))}
    assert metrics["accuracy"] == 0.875
    assert metrics["per_class/a:2Fb/f1"] == 0.5
    assert curve(tracking, run) == [(1, 0.75), (2, 0.5), (3, 0.25)]
    assert curve(tracking, run, "lr")[2] == (3, 1e-05)
    digests = {each.dataset.name: each.dataset.digest for each in run.inputs.dataset_inputs}
    assert digests["data/cells/raw"] == "d" * 32 + ".dir"
    assert {each.tags[0].value for each in run.inputs.dataset_inputs} == {"raw", "store", "weights"}
    note = tags["mlflow.note.content"]
    assert "| accuracy | 0.8750 |" in note
    assert "dvc pull --with-deps publish" in note


def test_a_run_keeps_the_files_it_was_made_with(tracking, project, tmp_path_factory):
    run = settle(tracking, project)
    folder = tmp_path_factory.mktemp("artifacts")
    tracking.client.download_artifacts(run.info.run_id, "", str(folder))
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert found == {
        "lineage/params.yaml",
        "lineage/dvc.yaml",
        "lineage/dvc.lock",
        "plots/evaluate/roc.csv",
        "results/report.json",
        "results/report.html",
        "results/normalization.json",
        "results/backbone.json",
        "results/bundle.json",
        "results/history.csv",
        "results/recipe.json",
        "results/candidates.csv",
        "results/kept.json",
        "results/metrics.json",
        "results/predictions.parquet",
        "results/splits.parquet",
    }
    assert (folder / "lineage/dvc.lock").read_bytes() == RESULTS.lock.read_bytes()


def test_decisions_of_people_are_a_tag(tracking, project):
    assert "review" not in settle(tracking, project).data.tags
    project._file(RESULTS.report, '{"review": {"items": {"keep": 0, "drop": 2, "relabel": 1}}}')
    project.set_param("optim", lr=0.1)
    assert settle(tracking, project).data.tags["review"] == "drop 2, relabel 1"


def again(project):
    return project


KEY_RULES = {
    "the same key": (again, 1, True),
    "other params": (lambda p: p.set_param("optim", lr=0.1), 2, False),
    "other evaluation": (lambda p: p.set_param("evaluate", seed=9), 2, False),
    "code touched without effect": (lambda p: p.touch_code("train"), 1, True),
    "evaluation touched without effect": (lambda p: p.touch_code("evaluate"), 1, True),
    "code touched, other model": (lambda p: p.touch_code("train").retrain("w2"), 2, False),
    "code touched, other metrics": (
        lambda p: p.metrics.update(accuracy=0.5) or p.touch_code("train"),
        2,
        False,
    ),
    "code touched, other data": (
        lambda p: setattr(p, "data_md5", "e" * 32) or p.touch_code("train"),
        2,
        False,
    ),
    "the same key, other model": (lambda p: p.retrain("w2", fingerprint=OTHER), 1, True),
    "params of publish": (lambda p: p.set_param("registry", verify_items=3), 1, True),
}


@pytest.mark.parametrize(("change", "count", "is_same"), KEY_RULES.values(), ids=KEY_RULES)
def test_key_rules(tracking, project, change, count, is_same):
    first = settle(tracking, project)
    second = settle(tracking, change(project))
    third = settle(tracking, project)
    assert len(runs(tracking)) == count
    assert all(is_complete(run) for run in runs(tracking))
    assert (first.info.run_id == second.info.run_id) is is_same
    assert second.info.run_id == third.info.run_id


def test_touched_code_adds_its_key_to_the_run(tracking, project):
    first = settle(tracking, project)
    second = settle(tracking, project.touch_code("train"))
    keys = second.data.tags["dvc.keys"].split()
    assert keys == [first.data.tags["dvc.key"], project.gathered().keys.key]
    assert second.data.tags["dvc.key"] == keys[0]
    assert len(runs(tracking)) == 1


@pytest.mark.parametrize(
    ("shift", "verdict"), [(0.0004, "yes"), (0.004, "no")], ids=["close", "far"]
)
def test_another_model_of_the_same_inputs_confirms_the_run(tracking, project, shift, verdict):
    first = settle(tracking, project)
    run = settle(tracking, project.retrain("w2", shift=shift, fingerprint=OTHER))
    model = project.gathered().keys.model
    found = json.loads(run.data.tags[f"confirmed.{model[:8]}"])
    assert found["largest_difference"] == pytest.approx(shift)
    assert found["fingerprint"] == OTHER
    assert found["dvc.model"] == model
    assert found["comparison"] == f"predictions within 0.001: {verdict}"
    assert run.data.tags["dvc.model"] == first.data.tags["dvc.model"] != model


def test_a_streamed_run_is_completed_without_a_point_twice(tracking, project):
    stream(project, 2)
    (streamed,) = runs(tracking)
    assert not is_complete(streamed)
    run = settle(tracking, project)
    assert run.info.run_id == streamed.info.run_id
    assert curve(tracking, run) == [(1, 0.75), (2, 0.5), (3, 0.25)]
    assert is_complete(run)
    assert len(runs(tracking)) == 1


def test_a_stream_that_begins_while_its_result_is_published_is_dropped(
    tracking, project, monkeypatch
):
    with monkeypatch.context() as patch:

        def write_late(*arguments):
            patch.undo()
            stream(project, 2)
            result_run.log_points(*arguments)

        patch.setattr(result_run, "log_points", write_late)
        run = settle(tracking, project)
    assert [each.info.run_id for each in runs(tracking)] == [run.info.run_id]


def test_a_second_stream_of_a_finished_result_is_dropped(tracking, project):
    """Touched code trained again and streamed; its result is that of the old run."""
    first = settle(tracking, project)
    stream(project.touch_code("train"))
    assert len(runs(tracking)) == 2
    second = settle(tracking, project)
    assert [run.info.run_id for run in runs(tracking)] == [first.info.run_id]
    assert second.info.run_id == first.info.run_id


def test_the_stream_of_other_params_is_left_alone(tracking, project):
    stream(project.set_param("optim", lr=0.5))
    settle(tracking, project.set_param("optim", lr=0.25))
    assert len(runs(tracking)) == 2


def test_a_training_that_was_published_is_not_streamed_again(tracking, project):
    settle(tracking, project)
    stream(project)
    assert len(runs(tracking)) == 1


def test_a_deleted_database_is_rebuilt_with_its_curve(tracking, project, mlflow_template):
    key = stream(project)
    times = [epoch.time_ms for epoch in read_journal(journal_path(key)).epochs]
    settle(tracking, project)
    shutil.copyfile(mlflow_template, "new.db")
    for journal_is_there in (True, False):
        shutil.copyfile(mlflow_template, f"new-{journal_is_there}.db")
        if not journal_is_there:
            journal_path(key).unlink()
        new = connect_to(f"new-{journal_is_there}.db")
        run = settle(new, project)
        assert len(runs(new)) == 1
        assert curve(new, run) == [(1, 0.75), (2, 0.5), (3, 0.25)]
        points = new.client.get_metric_history(run.info.run_id, "train_loss")
        assert ([point.timestamp for point in points] == times) is journal_is_there


def connect_to(name):
    os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{Path(name).resolve()}"
    return connect(TRACKING.experiment)


class Killed(BaseException):
    """What a kill looks like from inside: nothing after it runs."""


def calls_of(client):
    return [
        name
        for name in dir(client)
        if name.startswith(
            ("create_", "log_", "set_", "update_", "delete_", "finalize_", "download_")
        )
    ]


def settle_until_killed(tracking, project, after, monkeypatch):
    """Publish, and die right after the n-th call that writes; gives whether it died."""
    left = [after]

    def dying(method):
        def call(*args, **kwargs):
            done = method(*args, **kwargs)
            left[0] -= 1
            if left[0] == 0:
                raise Killed
            return done

        return call

    with monkeypatch.context() as patch:
        for name in calls_of(tracking.client):
            patch.setattr(tracking.client, name, dying(getattr(tracking.client, name)))
        try:
            settle(tracking, project)
        except Killed:
            return True
    return False


@pytest.mark.slow
@pytest.mark.parametrize("is_streamed", [False, True], ids=["new", "streamed"])
def test_a_publish_killed_after_any_write_is_completed_by_the_next(
    repository, project, monkeypatch, mlflow_template, is_streamed
):
    for after in range(1, 50):
        shutil.copyfile(mlflow_template, f"{after}.db")
        tracking = connect_to(f"{after}.db")
        if is_streamed:
            stream(project, 2)
        was_killed = settle_until_killed(tracking, project, after, monkeypatch)
        run = settle(tracking, project)
        assert len(runs(tracking)) == 1
        assert is_complete(run)
        assert run.info.status == "FINISHED"
        assert curve(tracking, run) == [(1, 0.75), (2, 0.5), (3, 0.25)]
        assert len(run.inputs.dataset_inputs) == 3
        assert len(tracking.client.get_metric_history(run.info.run_id, "accuracy")) == 1
        if not was_killed:
            assert after > 5
            return
    raise AssertionError("publishing does not end")


@pytest.mark.parametrize(
    ("change", "count"),
    [(lambda p: p.set_param("evaluate", seed=9), 2), (lambda p: p.retrain("w2"), 1)],
    ids=["of another result", "of the same key and another model"],
)
def test_an_attempt_that_was_killed_is_not_taken_for_another_result(
    tracking, project, monkeypatch, change, count
):
    assert settle_until_killed(tracking, project, 3, monkeypatch)
    (begun,) = runs(tracking)
    monkeypatch.setattr(agree, "_OTHER_S", 0.0)
    run = settle(tracking, change(project))
    assert run.info.run_id != begun.info.run_id
    assert run.data.tags["dvc.model"] == project.gathered().keys.model
    assert len(runs(tracking)) == count


def git(folder, *arguments):
    subprocess.run(
        ["git", "-c", "user.name=a", "-c", "user.email=a@example.org", *arguments],
        cwd=folder,
        check=True,
        capture_output=True,
    )


@pytest.fixture
def committed(project):
    git(project.folder, "init", "--initial-branch", "main")
    (project.folder / ".gitignore").write_text("/mlflow*\n/.rootstock/\n*.db\n")
    git(project.folder, "remote", "add", "origin", "https://me:secret@example.org/cells.git")
    git(project.folder, "add", ".gitignore", "params.yaml", "train.py", "evaluate.py", "dvc.yaml")
    git(project.folder, "commit", "-m", "before")
    # as DVC does:
    (project.folder / "artifacts/train/.gitignore").write_text("/model.safetensors\n")
    return project


def head(project):
    command = ["git", "rev-parse", "HEAD"]
    return subprocess.run(
        command, cwd=project.folder, check=True, capture_output=True, text=True
    ).stdout.strip()


def test_the_commit_is_provisional_until_one_records_the_result(tracking, committed):
    before = head(committed)
    tags = settle(tracking, committed).data.tags
    assert (tags["git.commit"], tags["git.commit.provisional"]) == (before, "true")
    assert tags["git.remote"] == "https://example.org/cells.git"
    assert tags["git.branch"] == "main"
    assert tags["git.dirty"] == "false", "what the pipeline writes makes no tree dirty"

    git(committed.folder, "add", "--all")
    git(committed.folder, "commit", "-m", "results")
    recorded = head(committed)
    git(committed.folder, "commit", "--allow-empty", "-m", "later")
    tags = settle(tracking, committed).data.tags
    assert (tags["git.commit"], tags["git.commit.provisional"]) == (recorded, "false")

    committed.set_param("optim", lr=0.5)
    assert settle(tracking, committed).data.tags["git.commit.provisional"] == "true"


def test_an_experiment_s_own_commit_records_it_too(tracking, committed):
    settle(tracking, committed)
    git(committed.folder, "add", "--all")
    git(committed.folder, "commit", "-m", "experiment")
    recorded = head(committed)
    git(committed.folder, "update-ref", "refs/exps/aa/bb/name", recorded)
    git(committed.folder, "reset", "--mixed", "HEAD~1")
    assert settle(tracking, committed).data.tags["git.commit"] == recorded


def test_a_changed_file_makes_the_tree_dirty_and_the_diff_is_kept(tracking, committed):
    with (committed.folder / "train.py").open("a") as stream:
        stream.write("# not committed\n")
    run = settle(tracking, committed.record())
    assert run.data.tags["git.dirty"] == "true"
    (committed.folder / "got").mkdir()
    name = "lineage/git-diff-HEAD.patch"
    path = tracking.client.download_artifacts(run.info.run_id, name, str(committed.folder / "got"))
    assert "+# not committed" in Path(path).read_text(encoding="utf-8")


def test_nothing_is_published_without_the_commit_that_git_will_not_tell(
    tracking, committed, monkeypatch
):
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    with pytest.raises(GitError, match=r"safe\.directory"):
        publish(RESULTS, TRACKING, REGISTRY)
    with pytest.raises(GitError, match=r"safe\.directory"):
        committed.gathered().tags()
    assert runs(tracking) == []


def test_commits_with_damaged_lock_files_are_passed_over(tracking, committed):
    settle(tracking, committed)
    git(committed.folder, "add", "--all")
    git(committed.folder, "commit", "-m", "results")
    recorded = head(committed)
    text = RESULTS.lock.read_text()
    RESULTS.lock.write_text(text + "<<<<<<< HEAD\n")
    git(committed.folder, "commit", "-am", "damaged")
    RESULTS.lock.write_text(text)
    assert settle(tracking, committed).data.tags["git.commit"] == recorded


def test_an_unfinished_pipeline_is_not_published(project):
    del project.lock["stages"]["evaluate"]
    RESULTS.lock.write_text(json.dumps(project.lock))
    with pytest.raises(ParamsError, match=r"dvc\.lock: has no entry 'evaluate' \(run `dvc repro`"):
        publish(RESULTS, TRACKING, REGISTRY)


def test_an_experiment_is_a_run_without_a_version(project, tracking, monkeypatch):
    monkeypatch.setenv("DVC_EXP_NAME", "warm-bee")
    publish(RESULTS, TRACKING, REGISTRY)
    (run,) = runs(tracking)
    assert run.info.run_name == "warm-bee"
    note = read_note(project.folder)
    assert (note["run_id"], note["version"], note["aliases"]) == (run.info.run_id, None, [])
    assert tracking.client.search_registered_models() == []


def test_artifacts_lie_beside_the_database_wherever_dvc_runs(
    tracking, project, tmp_path_factory, monkeypatch
):
    """`dvc exp run --temp` works in a folder that is thrown away."""
    elsewhere = tmp_path_factory.mktemp("exp")
    shutil.copytree(project.folder, elsewhere / "tree", ignore=shutil.ignore_patterns("*.db"))
    monkeypatch.chdir(elsewhere / "tree")
    run = settle(connect(TRACKING.experiment), project)
    place = run.info.artifact_uri.removeprefix("file://")
    assert place.startswith(str(project.folder / "mlflow-artifacts"))
    assert find_runs(tracking, "dvc.keys", "%")
    assert PREDICTIONS in {
        f.path for f in tracking.client.list_artifacts(run.info.run_id, "results")
    }
