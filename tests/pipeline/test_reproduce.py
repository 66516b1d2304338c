"""A result made again in another clone, from raw data alone, and what can stand in the way.

The project lies in a subfolder of its repository, beside files of others.
"""

import json
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
import yaml

from pipeline.repo.cache import object_path
from tests.support.project import ENVIRONMENT, commit, run, set_params, small_project

pytestmark = pytest.mark.slow

STAGES = ["clean", "weights", "recipe", "transform", "normalize", "features", "train", "evaluate"]


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A project with a committed result, pushed to a remote beside its repository."""
    base = tmp_path_factory.mktemp("re produce")
    (base / "mono/web").mkdir(parents=True)
    (base / "mono/web/.env.example").write_text("TOKEN=\n")
    folder = small_project(base / "mono/ml", top=base / "mono")
    (folder / "crossval" / "dvc.yaml").unlink()  # no side branch is pushed or pulled
    run(folder, "dvc", "remote", "add", "--default", "store", "../../remote")
    (base / "remote").mkdir()
    run(folder, "dvc", "config", "cache.type", "copy")
    commit(folder, "a remote")
    run(folder, "rootstock", "repro")
    commit(folder, "results")
    run(folder, "dvc", "push", "--quiet")
    return folder


@pytest.fixture
def second(project, tmp_path):
    """Another clone, whose only data are in the remote, and whose runs are the project's."""
    folder = tmp_path / "second/ml"
    run(tmp_path, "git", "clone", "--quiet", str(project.parent), str(folder.parent))
    remote = project.parents[1] / "remote"
    run(folder, "dvc", "remote", "modify", "--local", "store", "url", str(remote))
    return folder


def server(project):
    return {"MLFLOW_TRACKING_URI": f"sqlite:///{project / 'mlflow.db'}"}


def content(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def picture(project):
    """Give the raw path, and the object in the remote, of one picture."""
    entry = yaml.safe_load((project / "data/small/raw.dvc").read_text())["outs"][0]
    listing = json.loads(object_path(project / ".dvc/cache", entry["md5"]).read_bytes())
    first = next(each for each in listing if each["relpath"].endswith(".png"))
    return f"data/small/raw/{first['relpath']}", object_path(
        project.parents[1] / "remote", first["md5"]
    )


def test_another_clone_gets_the_same_bits_and_every_stage_runs(project, second):
    before = content(project / "mlflow-artifacts"), (project / "mlflow.db").read_bytes()
    done = run(
        second,
        "rootstock",
        "reproduce",
        "models:/elpv-cells@champion",
        "--json",
        env=server(project),
    )
    verdict = json.loads(done.stdout)
    assert verdict["verdict"] == "bit-identical"
    assert sorted(verdict["executed"]) == sorted(STAGES)
    assert "Running stage 'publish'" not in done.stderr
    assert (content(project / "mlflow-artifacts"), (project / "mlflow.db").read_bytes()) == before
    assert not (second / "mlflow.db").exists()
    assert not (second / ".rootstock" / "journals").exists()  # nor anything of the clone's own
    assert list((second / ".rootstock" / "reproduce").iterdir()) == []
    assert run(second, "git", "worktree", "list").stdout.count("\n") == 1
    assert run(second, "git", "status", "--porcelain").stdout == ""


def test_a_tampered_picture_is_named(project, second):
    path, stored = picture(project)
    good = stored.read_bytes()
    other = next(
        each
        for each in stored.parents[1].rglob("*")
        if each.is_file() and each.read_bytes()[:4] == b"\x89PNG" and each.read_bytes() != good
    )
    stored.chmod(0o644)
    stored.write_bytes(other.read_bytes())
    stored.chmod(0o444)
    try:
        done = run(
            second,
            "rootstock",
            "reproduce",
            "models:/elpv-cells@champion",
            code=5,
            env=server(project),
        )
        assert done.stderr.splitlines()[-1].startswith(f"error: {path}: different")
        assert stored.exists()
        assert "Traceback" not in done.stderr
    finally:
        stored.chmod(0o644)
        stored.write_bytes(good)


def test_the_first_artifact_that_differs_is_named_and_the_rebuild_kept(project, second):
    lock = second / "dvc.lock"
    recorded = yaml.safe_load(lock.read_text())
    outs = {out["path"]: out for out in recorded["stages"]["train"]["outs"]}
    out = outs["artifacts/train/history.csv"]
    lock.write_text(lock.read_text().replace(out["md5"], "a" * 32))
    commit(second, "altered")
    done = run(second, "rootstock", "reproduce", code=5)
    last = done.stderr.splitlines()[-1]
    assert last.startswith("error: artifacts/train/history.csv: different: the first artifact")
    kept = next((second / ".rootstock" / "reproduce").iterdir())
    assert str(kept) in last
    journals = list((kept / "ml" / ".rootstock" / "journals").iterdir())
    assert '"status":"finished"' in journals[0].read_text()
    run(second, "dvc", "status", "publish")  # what is kept is in nobody's way


def test_a_result_that_was_never_committed_is_made_from_its_patch(project, tmp_path):
    folder = tmp_path / "copy/ml"
    shutil.copytree(project.parent, folder.parent, symlinks=True)
    (folder.parent / "web/.env.example").write_text("TOKEN=secret\n")
    run(folder, "dvc", "remote", "remove", "--quiet", "store")  # from the cache, then
    run(folder, "git", "commit", "--quiet", "--all", "--message", "no remote")
    (folder / "mlflow.db").unlink()
    set_params(folder, optim={"lr": 0.02})
    stage = folder / "stages" / "evaluate.py"
    stage.write_text(stage.read_text() + "# touched\n")
    run(folder, "rootstock", "repro")
    number = run(folder, "rootstock", "lineage", "models:/elpv-cells@candidate", "--json")
    found = json.loads(number.stdout)
    assert found["commit"]["is_found"] is False
    assert found["stages"]["train"]
    what = found["run"]["id"][:8]
    run(folder, "git", "stash", "--quiet")
    assert (
        "optim.lr"
        in json.loads(run(folder, "rootstock", "lineage", what, "--json").stdout)["changed"]
    )
    done = run(folder, "rootstock", "reproduce", what)
    assert "never committed" in done.stdout
    assert "and the recorded patch" in done.stdout.splitlines()[-1]
    assert done.stdout.splitlines()[-1].startswith("bit-identical: ")
    _break_patch(folder, found["run"]["id"])
    done = run(folder, "rootstock", "reproduce", what, code=5)
    assert done.stderr.splitlines()[-1].startswith("error: git-diff-HEAD.patch: ")
    assert len(done.stdout.splitlines()) == 0


def _break_patch(folder, run_id):
    """Find the patch, which holds the project alone, and break it."""
    patch = next((folder / "mlflow-artifacts").glob(f"{run_id}/artifacts/lineage/*.patch"))
    assert "secret" not in patch.read_text()
    assert "web/" not in patch.read_text()
    patch.write_text(patch.read_text().replace("def main", "def other").replace("-  lr:", "-  x:"))


def test_a_commit_that_is_not_here_is_one_line(project, second):
    with_db = second / "mlflow.db"
    shutil.copy(project / "mlflow.db", with_db)
    import sqlite3

    with sqlite3.connect(with_db) as database:
        database.execute("update tags set value = ? where key = 'git.commit'", ("1" * 40,))
        database.execute("update tags set value = 'x' where key in ('dvc.key', 'dvc.keys')")
    done = run(second, "rootstock", "reproduce", "models:/elpv-cells/1", code=5)
    assert len(done.stderr.splitlines()) == 1
    assert "lacks its commit, got '1111" in done.stderr


def test_a_killed_rebuild_is_replaced(project, second):
    command = ["rootstock", "reproduce", "models:/elpv-cells@champion"]
    process = subprocess.Popen(
        command, cwd=second, env=ENVIRONMENT | server(project), stderr=subprocess.PIPE, text=True
    )
    for line in process.stderr:
        if "Running stage 'clean'" in line:
            break
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stderr.close()
    tree = next((second / ".rootstock" / "reproduce").iterdir())
    deadline = time.monotonic() + 30
    while _users(tree) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert not _users(tree)  # nothing goes on there
    shutil.rmtree(tree / "ml" / "data")
    (tree / "ml" / "stages" / "clean.py").write_text("")
    process = subprocess.Popen(
        command, cwd=second, env=ENVIRONMENT | server(project), stderr=subprocess.PIPE, text=True
    )
    for line in process.stderr:
        if "Running stage 'transform'" in line:
            break
    process.send_signal(signal.SIGTERM)
    process.stderr.read()
    process.stderr.close()
    assert process.wait() == 143
    assert not tree.exists()
    assert run(second, "git", "worktree", "list").stdout.count("\n") == 1


def _users(tree):
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cwd").readlink().is_relative_to(tree):
                found.append(process.name)
        except OSError:
            continue
    return found
