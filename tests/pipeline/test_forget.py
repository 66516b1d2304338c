"""`rootstock forget` from the decision to an empty search: real DVC, a remote, MLflow."""

import hashlib
import json
import os
import shutil
from pathlib import Path
from unittest import mock

import pytest
import yaml
from PIL import Image

from pipeline.ground.tables import read_table
from pipeline.repo.lock import Lock
from tests.support.prepared import empty_database
from tests.support.project import clone, commit, run, set_params
from tests.support.rawfolder import class_folders

pytestmark = pytest.mark.slow

GONE = "cat/03.png"
NOTE = "<note of=it/>"
MODEL = "artifacts/train/model.safetensors"
STAGES = {
    "train": {
        "cmd": f"mkdir -p artifacts/train && cp artifacts/clean/manifest.parquet {MODEL}",
        "deps": ["artifacts/clean/manifest.parquet"],
        "outs": [MODEL],
    },
    "beside": {"cmd": "cp LICENSE beside", "deps": ["LICENSE"], "outs": ["beside"]},
}
"""What follows from the data, and what does not."""


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A project of which one stage is ours, with a committed result, a remote and a version."""
    folder = clone(tmp_path_factory.mktemp("forget") / "ml")
    raw = class_folders(folder / "data/mine/raw", cats=12, dogs=12)
    Image.open(raw / GONE).save(raw / "cat/copy.bmp")  # other bytes, the same pixels
    (raw / "cat/03.xml").write_text(NOTE)
    (raw / "cat/04.xml").write_text("<alike/>")
    (raw / "cat/03.json").write_text("<alike/>")  # which another item has too
    set_params(
        folder,
        data={"path": "data/mine/raw", "labels": "data/mine/raw"},
        clean={"min_side_px": 8},
        machine={"workers": 1, "progress": "none"},
    )
    graph = yaml.safe_load((folder / "dvc.yaml").read_text())
    stages = {"clean": graph["stages"]["clean"], **STAGES}
    (folder / "dvc.yaml").write_text(yaml.safe_dump({"stages": stages}))
    for branch in ("crossval", "suspects", "explain", "privacy"):
        (folder / branch / "dvc.yaml").unlink(missing_ok=True)
    run(folder, "dvc", "add", "--quiet", "data/mine/raw")
    run(folder, "dvc", "remote", "add", "--quiet", "--default", "store", "../store")
    (folder.parent / "store").mkdir()
    run(folder, "dvc", "repro", "--quiet")
    commit(folder, "a result")
    run(folder, "dvc", "push", "--quiet")
    shutil.copy(empty_database(), folder / "mlflow.db")
    register(folder)
    return folder


def register(folder):
    """Publish the model, as far as its tags and artifacts go, under the alias champion."""
    with mock.patch.dict(os.environ, {"DVC_ROOT": str(folder)}):
        from pipeline.track.connection import connect

        tracking = connect("mine")
        client = tracking.client
        md5 = Lock.read(folder / "dvc.lock").all_outs()[MODEL]
        run_id = client.create_run(tracking.experiment_id, tags={"dvc.model": md5}).info.run_id
        client.log_artifact(run_id, str(folder / MODEL))
        client.create_registered_model("mine")
        client.create_model_version("mine", "x", run_id, tags={"dvc.model": md5})
        client.set_registered_model_alias("mine", "champion", "1")
        return client


def forget(folder, *options, code=0):
    return run(folder, "rootstock", "forget", *options, code=code)


def objects(folder):
    found = (folder / "files/md5").rglob("*")
    return {f"{path.parent.name}{path.name}" for path in found if path.is_file()}


def test_a_dry_run_tells_and_changes_nothing(project):
    told = forget(project, GONE, "--dry-run").stdout
    assert "2 items:" in told  # the copy in another format too
    assert "cat/copy.bmp  (the same as one that was named)" in told
    assert "03.xml: the file" in told
    assert "working tree: " in told
    assert run(project, "git", "status", "--porcelain").stdout == ""
    assert "--reason: must be given" in forget(project, GONE, code=2).stderr
    assert "no item of the manifest" in forget(project, "cat/99.png", code=2).stderr


def test_what_a_stage_makes_is_left_where_it_is(project, tmp_path):
    shutil.copytree(project.parent, tmp_path / "made", symlinks=True)
    project = tmp_path / "made" / "ml"
    run(project, "dvc", "remove", "data/mine/raw.dvc")
    stage = {"cmd": "true", "outs": [{"data/mine/raw": {"persist": True}}]}
    graph = Path(project / "data/mine/dvc.yaml")
    stage["wdir"] = "../.."
    graph.write_text(yaml.safe_dump({"stages": {"fetch": stage}}))
    run(project, "dvc", "repro", "--quiet", "data/mine/dvc.yaml")
    done = forget(project, GONE, "--reason", "asked for").stdout
    assert "stays as it is: data/mine/dvc.lock has it from a stage" in done
    assert (project / "data/mine/raw" / GONE).exists()
    run(project, "dvc", "repro", "--quiet", "clean")
    rows = read_table(project / "artifacts/clean/manifest.parquet").set_index("path")
    assert rows.loc[GONE, "reason"] == "forgotten"


def test_the_search_finds_all_of_it_and_nothing_after_the_steps(project):
    """One test, and the last, since each step begins where the one before ended."""
    store = project.parent / "store"
    raw = project / "data/mine/raw"
    item = (raw / GONE).read_bytes()
    model = Lock.read(project / "dvc.lock").all_outs()[MODEL]
    beside = Lock.read(project / "dvc.lock").all_outs()["beside"]
    done = forget(project, GONE, "--reason", "asked for", "--by", "ada").stdout
    assert not {"03.png", "03.xml", "copy.bmp"} & {each.name for each in (raw / "cat").iterdir()}
    decision = next((project / "review/forgotten").iterdir())
    assert f"review/forgotten/{decision.name} has the decision" in done
    assert "cat" not in decision.read_text()
    assert json.loads(decision.read_text())["reason"] == "asked for"

    found = forget(project, "--check", code=5).stdout
    for place in (f".dvc/cache/files/md5/{model[:2]}", f"{store}/files/md5/{model[:2]}", "mlflow"):
        assert place in found
    assert "is the item itself" in found
    assert "models:/mine/1 @champion: was made from data with the item" in found
    assert beside[2:] not in found
    assert (
        "and dvc.lock names it (run `rootstock repro` first"
        in forget(project, "--purge", code=2).stderr
    )

    run(project, "dvc", "repro", "--quiet")
    commit(project, "forgotten")
    assert "has an alias" in forget(project, "--purge", code=2).stderr
    with mock.patch.dict(os.environ, {"DVC_ROOT": str(project)}):
        from pipeline.track.connection import connect

        connect("mine").client.delete_registered_model_alias("mine", "champion")
    assert "artifacts/model.safetensors" in forget(project, "--purge").stdout
    run(project, "dvc", "push", "--quiet")
    found = forget(project, "--check")
    assert found.stdout.endswith("0 hits\n"), found.stdout
    note = hashlib.md5(NOTE.encode(), usedforsecurity=False).hexdigest()
    assert {model, beside, note} & objects(store) == {beside}
    assert {model, beside} & objects(project / ".dvc/cache") == {beside}
    assert not list((project / ".rootstock/forget").iterdir())
    assert run(project, "dvc", "status", "--cloud", "--quiet").returncode == 0

    (raw / "dog/again.png").write_bytes(item)
    run(project, "dvc", "add", "--quiet", "data/mine/raw")
    run(project, "dvc", "repro", "--quiet", "clean")
    rows = read_table(project / "artifacts/clean/manifest.parquet").set_index("path")
    assert tuple(rows.loc["dog/again.png", ["status", "reason"]]) == ("dropped", "forgotten")
    assert "is the item itself" in forget(project, "--check", code=5).stdout
