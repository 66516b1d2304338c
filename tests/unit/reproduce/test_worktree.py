"""A worktree gets the code that made a result, also what git never had."""

import hashlib
from pathlib import Path
from types import SimpleNamespace

import pytest

from pipeline.ground.errors import IntegrityError
from pipeline.repo.imports import folder_md5
from pipeline.reproduce.worktree import settle_code

PARAMS = {"optim": {"lr": 1}}


def tree(folder, *modules):
    """Make a project with params and with links of the stage `a` to modules."""
    (folder / "imports/a").mkdir(parents=True)
    (folder / "pipeline").mkdir()
    (folder / "params.yaml").write_text("optim: {lr: 1}\n")
    for name in modules:
        (folder / f"pipeline/{name}.py").write_text(f"{name} = 1\n")
        (folder / f"imports/a/pipeline.{name}").symlink_to(f"../../pipeline/{name}.py")
    return folder


def recorded(links, code=None):
    return SimpleNamespace(
        code=lambda: code or {}, links=lambda: links, params=PARAMS, where="dvc.lock"
    )


def test_a_module_that_git_never_had_is_taken_with_its_link(tmp_path):
    here, made = tree(tmp_path / "here", "x", "new"), tree(tmp_path / "made", "x")
    md5 = folder_md5(here / "imports/a")
    assert settle_code(here, made, recorded({"imports/a": md5})) == ["pipeline/new.py"]
    assert folder_md5(made / "imports/a") == md5
    assert (made / "imports/a/pipeline.new").readlink() == Path("../../pipeline/new.py")


def test_code_that_is_there_stays(tmp_path):
    here, made = tree(tmp_path / "here", "x", "new"), tree(tmp_path / "made", "x")
    assert settle_code(here, made, recorded({"imports/a": folder_md5(made / "imports/a")})) == []


def test_code_that_nobody_has_is_refused(tmp_path):
    here, made = tree(tmp_path / "here", "x", "new"), tree(tmp_path / "made", "x")
    with pytest.raises(IntegrityError, match="imports/a: the code of this stage differs"):
        settle_code(here, made, recorded({"imports/a": "0" * 32 + ".dir"}))


def test_a_lock_file_of_before_names_the_files(tmp_path):
    here, made = tree(tmp_path / "here", "x", "new"), tree(tmp_path / "made", "x")
    md5 = hashlib.md5(b"new = 1\n").hexdigest()
    assert settle_code(here, made, recorded({}, {"pipeline/new.py": md5})) == ["pipeline/new.py"]
