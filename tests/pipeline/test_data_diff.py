"""`rootstock data diff` on a real repository: git for the lock file, DVC's cache for the rest."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.cli import main
from pipeline.repo.cache import cache_folder, object_path
from pipeline.repo.lock import Lock
from tests.support.project import clone, commit, run, set_params
from tests.support.rawfolder import class_folders, save_picture

pytestmark = pytest.mark.slow

MANIFEST = "artifacts/clean/manifest.parquet"


def paint(path, color, *, size=(64, 48)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, color).save(path)


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """Give a repository whose data changed after the last commit, and are cleaned anew."""
    folder = clone(tmp_path_factory.mktemp("diff") / "p")
    raw = class_folders(folder / "data/small/raw")
    paint(raw / "cat/gone.png", (200, 0, 0))
    set_params(
        folder,
        data={"path": "data/small/raw", "labels": "data/small/raw"},
        clean={"min_side_px": 8, "max_bad_frac": 0.5},
        machine={"workers": 1, "progress": "none"},
    )
    run(folder, "dvc", "add", "--quiet", "data/small/raw")
    run(folder, "dvc", "repro", "--quiet", "clean")
    commit(folder, "the data of last week")
    run(folder, "git", "tag", "last-week")
    run(folder, "dvc", "unprotect", "data/small/raw")
    (raw / "cat/gone.png").unlink()
    save_picture(raw / "cat/24.png", 7000)
    shutil.copy(raw / "cat/00.png", raw / "cat/copy.png")
    (raw / "dog/05.png").rename(raw / "cat/05-was-a-dog.png")
    (raw / "dog/06.png").rename(raw / "dog/other name.png")
    save_picture(raw / "dog/07.png", 7001)
    (raw / "dog/broken.png").write_bytes(b"<html>")
    run(folder, "dvc", "add", "--quiet", "data/small/raw")
    run(folder, "dvc", "repro", "--quiet", "clean")
    return folder


@pytest.fixture
def data_diff(project, monkeypatch, capsys):
    """Run the command in the repository; gives what it said, with its exit code checked."""
    monkeypatch.chdir(project)

    def call(*arguments, code=0):
        assert main(["data", "diff", *arguments]) == code
        return capsys.readouterr()

    return call


def test_what_changed_since_the_last_commit(project, data_diff):
    diff = json.loads(data_diff("--json").out)
    lists = ("added", "removed", "changed", "renamed", "relabeled", "moved")
    paths = {name: [each["path"] for each in diff[name]] for name in lists}
    assert paths == {
        "added": ["cat/24.png", "cat/copy.png", "dog/broken.png"],
        "removed": ["cat/gone.png"],
        "changed": ["dog/07.png"],
        "renamed": ["cat/05-was-a-dog.png", "dog/other name.png"],
        "relabeled": ["cat/05-was-a-dog.png"],
        "moved": [],
    }
    assert diff["repeats"] == [
        {"path": "cat/copy.png", "reason": "duplicate", "of": "cat/00.png", "of_old": True}
    ]
    assert diff["quarantined"] == {"not_image": ["dog/broken.png"]}
    assert diff["from"]["name"] == "HEAD"
    assert diff["params"] == {}
    assert data_diff("last-week", "--json").out != ""


def test_the_text_and_the_sheet(project, data_diff):
    done = data_diff("last-week", "--sheet", "diff.png", "--fail-on-moved")
    assert done.out.startswith("data: last-week (")
    assert "splits: none of 47 items moved" in done.out
    assert "added: 3" in done.out
    assert done.out.endswith("pictures: diff.png\n")
    with Image.open(project / "diff.png") as sheet:
        pixels = np.asarray(sheet.convert("RGB")).reshape(-1, 3)
    red = (pixels == (200, 0, 0)).all(axis=1).mean()
    assert red > 0.005, "the removed picture is drawn from DVC's cache"
    first = (project / "diff.png").read_bytes()
    data_diff("last-week", "--sheet", "diff.png")
    assert (project / "diff.png").read_bytes() == first


def test_a_moved_split_is_an_error_where_that_is_asked_for(project, data_diff):
    params = (project / "params.yaml").read_text(encoding="utf-8")
    lock = (project / "dvc.lock").read_text(encoding="utf-8")
    set_params(project, split={"seed": 2})
    run(project, "dvc", "repro", "--quiet", "clean")
    try:
        assert "  !!! SPLITS MOVED: " in data_diff().out
        done = data_diff("--fail-on-moved", code=3)
        assert "SPLITS MOVED" in done.out
        (line,) = done.err.splitlines()
        assert line.startswith("error: split: ")
        assert "items changed their split: split.seed 1 -> 2 (" in line
    finally:
        (project / "params.yaml").write_text(params, encoding="utf-8")
        (project / "dvc.lock").write_text(lock, encoding="utf-8")
        run(project, "dvc", "checkout", "--quiet", "clean")


def test_an_unknown_revision_is_named(project, data_diff):
    for revision in ("no-such", "HEAD:params.yaml", "--json=x"):
        done = data_diff("--", revision, code=2)
        (line,) = done.err.splitlines()
        assert "REV: must be a commit of this repository, got" in line
        assert revision in line


def test_a_manifest_that_was_collected_is_fetched_by_the_command_that_is_named(project, data_diff):
    run(project, "dvc", "remote", "add", "--local", "--force", "--default", "store", "../store")
    committed = project.parent / "old.lock"
    committed.write_text(run(project, "git", "show", "HEAD:dvc.lock").stdout, encoding="utf-8")
    md5 = Lock.read(committed).all_outs()[MANIFEST]
    run(project, "dvc", "push", "--quiet", "--all-commits", MANIFEST)
    path = object_path(cache_folder(Path()), md5)
    path.unlink()
    (line,) = data_diff(code=4).err.splitlines()
    command = f"dvc fetch --all-commits {MANIFEST}"
    assert f"its manifest is not in the cache ({path}) (run `{command}`, or, if" in line
    run(project, *command.split())
    data_diff()


def test_a_manifest_of_another_revision_is_not_compared(project, data_diff):
    """As after `git checkout` without `dvc checkout`."""
    lock = (project / "dvc.lock").read_text(encoding="utf-8")
    run(project, "git", "checkout", "--quiet", "last-week", "--", "dvc.lock")
    try:
        (line,) = data_diff(code=5).err.splitlines()
        assert f"{MANIFEST}: is not the one that dvc.lock records (run `dvc checkout clean`" in line
    finally:
        run(project, "git", "reset", "--quiet")
        (project / "dvc.lock").write_text(lock, encoding="utf-8")
    data_diff()


def test_data_that_were_added_since_are_not_passed_over(project, data_diff):
    tracked = project / "data/small/raw.dvc"
    content = tracked.read_text(encoding="utf-8")
    committed = run(project, "git", "show", "HEAD:data/small/raw.dvc").stdout
    assert committed != content
    tracked.write_text(committed, encoding="utf-8")
    try:
        (line,) = data_diff("--fail-on-moved", code=5).err.splitlines()
        assert line == (
            "error: data/small/raw.dvc: names other data than `clean` has read "
            "(run `dvc repro clean`)"
        )
    finally:
        tracked.write_text(content, encoding="utf-8")


def test_an_impossible_sheet_is_one_line(project, data_diff):
    (project / "taken.png").mkdir()
    (line,) = data_diff("--sheet", "taken.png", code=4).err.splitlines()
    assert line.startswith("error: ")
    assert "taken.png: Is a directory" in line
    (project / "taken.png").rmdir()


def test_a_side_without_a_manifest_is_named(project, data_diff):
    empty = run(
        project, "git", "commit-tree", "4b825dc642cb6eb9a060e54bf8d69288fbee4904", "-m", "empty"
    ).stdout.strip()
    (line,) = data_diff(empty, code=3).err.splitlines()
    assert "records no manifest (name a revision at which `clean` has run)" in line
    (project / MANIFEST).rename(project / "aside")
    try:
        (line,) = data_diff(code=3).err.splitlines()
        assert line.startswith(f"error: {MANIFEST}: no such file (run `dvc repro clean`")
    finally:
        (project / "aside").rename(project / MANIFEST)
