"""The command of docs/team.md that frees a remote keeps all branches, tags and experiments."""

import pytest

from tests.support.closure import ROOT
from tests.support.project import commit, run

pytestmark = pytest.mark.slow

FETCH = "git fetch --all --tags && git fetch origin 'refs/exps/*:refs/exps/*'"
COLLECT = "dvc gc --all-commits --all-experiments --cloud"
STAGE = """stages:
  copy: {cmd: cp params.yaml out, params: [x], outs: [out]}
"""


def put(clone, name):
    """Commit and push data that this commit alone has."""
    (clone / "data.txt").write_text(name)
    run(clone, "dvc", "add", "--quiet", "data.txt")
    commit(clone, name)
    run(clone, "dvc", "push", "--quiet")


@pytest.fixture(scope="module")
def clones(tmp_path_factory):
    """A clone with history, and the one of the person who cleans up."""
    folder = tmp_path_factory.mktemp("gc")
    ada = folder / "ada"
    ada.mkdir()
    run(folder, "git", "init", "--quiet", "--bare", "--initial-branch", "main", "origin")
    run(ada, "git", "init", "--quiet", "--initial-branch", "main")
    run(ada, "dvc", "init", "--quiet")
    run(ada, "git", "remote", "add", "origin", str(folder / "origin"))
    run(ada, "dvc", "remote", "add", "--quiet", "--default", "store", str(folder / "store"))
    (ada / "dvc.yaml").write_text(STAGE)
    (ada / "params.yaml").write_text("x: 1\n")
    run(ada, "dvc", "repro", "--quiet")
    put(ada, "old")
    run(ada, "git", "switch", "--quiet", "--create", "squashed")
    put(ada, "served")
    run(ada, "git", "tag", "elpv-3")
    put(ada, "lost")  # the branch is never pushed: after a squash, nothing leads here
    run(ada, "git", "switch", "--quiet", "--create", "colleague", "main")
    put(ada, "branch")
    run(ada, "git", "switch", "--quiet", "main")
    put(ada, "new")
    run(ada, "git", "push", "--quiet", "--tags", "origin", "main", "colleague")
    run(ada, "dvc", "exp", "run", "--quiet", "--name", "fox", "--set-param", "x=2")
    run(ada, "dvc", "exp", "push", "--quiet", "origin", "fox")
    run(folder, "git", "clone", "--quiet", "origin", "ben")
    return ada, folder / "ben"


def stored(clones):
    found = (clones[0].parent / "store/files/md5").rglob("*")
    return {path.read_text() for path in found if path.is_file()}


def test_the_page_has_the_command():
    page = (ROOT / "docs/team.md").read_text(encoding="utf-8")
    assert FETCH in page
    assert f"{COLLECT}\n" in page
    assert f"{COLLECT} --dry\n" in page


def test_only_what_no_one_can_reach_is_deleted(clones):
    _, ben = clones
    kept = {"old", "served", "branch", "new", "x: 1\n", "x: 2\n"}
    assert stored(clones) == kept | {"lost"}
    run(ben, "bash", "-c", FETCH)
    run(ben, "bash", "-c", f"{COLLECT} --dry --force")
    assert stored(clones) == kept | {"lost"}
    run(ben, "bash", "-c", f"{COLLECT} --force")
    assert stored(clones) == kept


def test_what_people_think_of_first_deletes_the_work_of_others(clones):
    """Why the page says so: `--all-branches` means the local ones."""
    run(clones[1], "dvc", "gc", "--all-branches", "--all-tags", "--cloud", "--force")
    assert not {"branch", "x: 2\n"} & stored(clones)
