"""MLflow comes back from git and DVC's cache as it was: runs, metrics, versions, aliases."""

import shutil
import sqlite3
from pathlib import Path

import pytest

from tests.support.project import commit, run, set_params, small_project

pytestmark = pytest.mark.slow

_MOVES = {"git.commit", "git.commit.provisional", "mlflow.source.git.commit", "git.dirty"}
"""Tags of the commit: provisional at first, then those of the commit that records the result."""
_PLACES = {"mlflow.log-model.history", "mlflow.parentRunId"}


def rows(project, query, *values):
    with sqlite3.connect(project / "mlflow.db") as database:
        return database.execute(query, values).fetchall()


def snapshot(project, *, without=_PLACES):
    """Give all that MLflow shows of active runs, by name: no ids, no places."""
    found = {}
    query = "select run_uuid, name, status from runs where lifecycle_stage = 'active'"
    for run_id, name, status in rows(project, query):
        tags = dict(rows(project, "select key, value from tags where run_uuid = ?", run_id))
        parent = tags.get("mlflow.parentRunId")
        if parent:
            ((of,),) = rows(project, "select name from runs where run_uuid = ?", parent)
            name = f"{of}/{name}"
        assert name not in found
        found[name] = {
            "status": status,
            "params": dict(
                rows(project, "select key, value from params where run_uuid = ?", run_id)
            ),
            "metrics": sorted(
                rows(project, "select key, step, value from metrics where run_uuid = ?", run_id)
            ),
            "tags": {key: value for key, value in tags.items() if key not in without},
        }
    return found


def versions(project):
    """Give number -> its model, key and check, of the versions that are there."""
    query = """select v.version, t.key, t.value from model_versions v join model_version_tags t
        on t.name = v.name and t.version = v.version
        where v.current_stage != 'Deleted_Internal' and v.name = 'elpv-cells'"""
    found = {}
    for number, key, value in rows(project, query):
        found.setdefault(number, {})[key] = value
    return found


def aliases(project):
    return dict(rows(project, "select alias, version from registered_model_aliases"))


def everything(project):
    return snapshot(project), versions(project), aliases(project)


def differences(one, other, path=""):
    """Give what differs between two snapshots, by place."""
    if not isinstance(one, dict | tuple) or not isinstance(other, dict | tuple):
        return [] if one == other else [(path, one, other)]
    one, other = (dict(enumerate(x)) if isinstance(x, tuple) else x for x in (one, other))
    found = []
    for key in {**one, **other}:
        found += differences(one.get(key), other.get(key), f"{path}/{key}")
    return found


def is_touched(project, number):
    """Tell whether a version predicts with the code of the later commits."""
    query = "select storage_location from model_versions where version = ?"
    ((place,),) = rows(project, query, number)
    folder = Path(place.removeprefix("file://"))
    codes = [folder / "served.py", folder / "code/pipeline/version/served.py"]
    (answer,) = {each.read_text(encoding="utf-8").endswith("# touched\n") for each in codes}
    return answer


def forget(project):
    """Delete all that MLflow has."""
    (project / "mlflow.db").unlink()
    shutil.rmtree(project / "mlflow-artifacts")


def sync(project, *arguments):
    return run(project, "rootstock", "sync", *arguments)


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """Three committed results and an experiment, a cross-validation, and a search."""
    folder = small_project(tmp_path_factory.mktemp("sync") / "p")
    set_params(
        folder,
        train={"batch_size": 8},
        features={"cut": "conv_head", "views": 2},
        crossval={"folds": 2, "val_frac": 0.3},
        tune={"space": {"optim.lr": {"low": 0.0001, "high": 0.01, "log": True}}},
    )
    run(folder, "git", "config", "user.name", "a")
    run(folder, "dvc", "repro")
    commit(folder, "first")
    run(folder, "dvc", "exp", "run", "--set-param", "optim.lr=0.02", "--name", "faster")
    run(folder, "git", "checkout", "--quiet", ".")
    with (folder / "pipeline/version/served.py").open("a") as stream:
        stream.write("# touched\n")
    for number, lr in enumerate((0.01, 0.003)):
        set_params(folder, optim={"lr": lr})
        run(folder, "dvc", "repro")
        commit(folder, f"result {number}")
    run(folder, "dvc", "repro", "crossval/dvc.yaml:publish")
    commit(folder, "a cross-validation")
    run(folder, "rootstock", "tune", "--trials", "2")
    return folder


@pytest.fixture(scope="module")
def before(project):
    """What MLflow has before anything is deleted."""
    return everything(project)


def test_a_sync_of_what_is_there_moves_the_commits_and_nothing_else(project, before):
    done = sync(project)
    assert "runs: 1 there, 5 moved; versions: 3 there" in done.stdout
    after = everything(project)
    assert after[1:] == before[1:]
    commits = run(
        project, "git", "log", "--reverse", "--format=%H", "--", "dvc.lock"
    ).stdout.split()
    found = {each["tags"].get("git.commit") for each in after[0].values()}
    assert set(commits) <= found
    for name, each in after[0].items():
        if "git.commit" in each["tags"]:
            assert each["tags"]["git.commit.provisional"] == "false"
        old = before[0][name]
        assert {k: v for k, v in each["tags"].items() if k not in _MOVES} == {
            k: v for k, v in old["tags"].items() if k not in _MOVES
        }
        assert (each["params"], each["metrics"]) == (old["params"], old["metrics"])
    again = sync(project)
    assert "moved" not in again.stdout
    assert everything(project) == after


def test_a_deleted_database_comes_back(project, before):
    sync(project)
    complete = everything(project)
    forget(project)
    planned = sync(project, "--dry-run").stdout
    assert "runs: 6 would be made" in planned
    assert not (project / "mlflow.db").exists()
    run(project, "dvc", "repro")
    assert set(versions(project)) == {1}, "the present result is the first one of a new registry"
    done = sync(project)
    assert "runs: 1 there, 5 made; versions: 3 made" in done.stdout
    assert differences(complete, everything(project)) == []
    assert [is_touched(project, number) for number in (1, 2, 3)] == [False, True, True]
    assert "runs: 6 there; versions: 3 there" in sync(project).stdout
    assert differences(complete, everything(project)) == []


def test_a_clone_with_a_cache_has_the_same(project, before, tmp_path):
    sync(project)
    complete = everything(project)
    second = tmp_path / "second"
    run(tmp_path, "git", "clone", "--quiet", str(project), str(second))
    run(second, "git", "fetch", "--quiet", "origin", "refs/exps/*:refs/exps/*")
    missing = sync(second)
    assert "cannot be had" in missing.stdout
    assert "dvc fetch --all-commits artifacts/" in missing.stdout
    assert "Traceback" not in missing.stderr
    shutil.copytree(project / ".dvc/cache", second / ".dvc/cache", dirs_exist_ok=True)
    sync(second)
    found = everything(second)
    assert found[1:] == complete[1:]
    made = {name for name in complete[0] if not name.startswith("tune")}
    assert set(found[0]) == made
    for name in made:
        for part in ("params", "metrics", "tags"):
            other = {
                path for path, *_ in differences(complete[0][name][part], found[0][name][part])
            }
            assert other <= {"/git.remote"}, name
