"""The code of a stage as DVC and git see it: a folder of links, digested by content."""

import hashlib
import subprocess
from pathlib import Path

import pytest

from pipeline.ground.errors import IntegrityError
from pipeline.repo.imports import code_md5_at, folder_md5, is_code, refuse_copied_links, source

LINK = "imports/a/pipeline.x.m"


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("pipeline/x").mkdir(parents=True)
    Path("pipeline/x/m.py").write_text("A = 1\n")
    Path("imports/a").mkdir(parents=True)
    Path(LINK).symlink_to("../../pipeline/x/m.py")
    git("init", "--quiet")
    commit()
    return tmp_path


def git(*arguments):
    config = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    subprocess.run(["git", *config, *arguments], check=True, capture_output=True)


def commit():
    git("add", "--all")
    git("commit", "--quiet", "--message", "one", "--allow-empty")


def test_the_digest_is_the_one_of_dvc(project):
    # as DVC 3.67 recorded it for a folder `code/a` with the link `m.py` to a file `x=1`
    Path("code/a").mkdir(parents=True)
    Path("lib.py").write_text("x=1\n")
    Path("code/a/m.py").symlink_to("../../lib.py")
    assert folder_md5(Path("code/a")) == "ad9a7a5d3f6d4544b1c8c3ed7415e071.dir"


def test_a_link_is_named_like_the_module():
    assert source(Path(LINK).name) == "pipeline/x/m.py"
    assert source("pipeline.x.m.html") == "pipeline/x/m.html"
    assert is_code("imports/a")
    assert is_code("pipeline/x/m.py")
    assert not is_code("artifacts/imports")


def test_a_commit_has_the_digest_of_its_own_code(project):
    before = folder_md5(Path("imports/a"))
    assert code_md5_at(project, "HEAD", "imports/a") == before
    Path("pipeline/x/m.py").write_text("A = 2\n")
    assert code_md5_at(project, "HEAD", "imports/a") == before != folder_md5(Path("imports/a"))
    commit()
    assert code_md5_at(project, "HEAD", "imports/a") == folder_md5(Path("imports/a"))
    assert code_md5_at(project, "HEAD~1", "imports/a") == before


def test_a_project_below_the_top_of_its_repository(project):
    Path("sub").mkdir()
    git("mv", "pipeline", "sub/pipeline")
    git("mv", "imports", "sub/imports")
    commit()
    found = code_md5_at(project / "sub", "HEAD", "imports/a")
    assert found == folder_md5(project / "sub/imports/a") is not None


def test_earlier_lock_files_name_the_files(project):
    md5 = hashlib.md5(b"A = 1\n").hexdigest()
    assert code_md5_at(project, "HEAD", "pipeline/x/m.py") == md5


def test_a_commit_without_the_links_or_without_a_file_has_no_digest(project):
    assert code_md5_at(project, "HEAD", "imports/b") is None
    git("rm", "--quiet", "pipeline/x/m.py")
    commit()
    assert code_md5_at(project, "HEAD", "imports/a") is None


def test_a_copy_in_place_of_a_link_is_refused(project):
    refuse_copied_links(project)
    Path(LINK).unlink()
    Path(LINK).write_text("A = 1\n")
    with pytest.raises(IntegrityError, match=r"pipeline\.x\.m.*must be a link"):
        refuse_copied_links(project)
