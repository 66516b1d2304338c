"""Two clones that change one raw folder: what docs/team.md says to do, run as it stands there."""

import pytest

from tests.support.closure import ROOT
from tests.support.project import commit, run

pytestmark = pytest.mark.slow

RAW = "data/mine/raw"
PAGE = (ROOT / "docs/team.md").read_text(encoding="utf-8")
DRIVER = 'git config merge.dvc.driver "dvc git-hook merge-driver --ancestor %O --our %A --their %B"'
BRING = (
    "git fetch",
    "git branch --force theirs origin/main",
    f"dvc fetch --all-branches {RAW}.dvc",
    "git merge theirs",
    f"dvc checkout {RAW}.dvc",
)
TAKE_THEIRS = (
    "git merge --abort",
    f"dvc get --force --rev theirs --out {RAW}/1.txt . {RAW}/1.txt",
    f'dvc add {RAW} && git commit -am "their 1.txt"',
    "git merge theirs",
    f"dvc checkout {RAW}.dvc",
)


def put(clone, message, *, push=True, **files):
    """Write files into the raw folder, commit, and share; None removes one."""
    for name, text in files.items():
        path = clone / RAW / f"{name.removeprefix('f')}.txt"
        path.unlink(missing_ok=True)
        if text is not None:
            path.write_text(text)
    run(clone, "dvc", "add", "--quiet", RAW)
    commit(clone, message)
    if push:
        run(clone, "dvc", "push", "--quiet")
        run(clone, "git", "push", "--quiet", "--set-upstream", "origin", "main")


def files(clone):
    return {path.stem: path.read_text() for path in (clone / RAW).iterdir()}


def line(clone, command, *, code=0):
    return run(clone, "bash", "-c", command, code=code)


@pytest.fixture
def clones(tmp_path):
    """Two people's clones of a raw folder of three files."""
    run(tmp_path, "git", "init", "--quiet", "--bare", "--initial-branch", "main", "origin")
    ada, ben = tmp_path / "ada", tmp_path / "ben"
    (ada / RAW).mkdir(parents=True)
    run(ada, "git", "init", "--quiet", "--initial-branch", "main")
    run(ada, "dvc", "init", "--quiet")
    run(ada, "git", "remote", "add", "origin", str(tmp_path / "origin"))
    run(ada, "dvc", "remote", "add", "--quiet", "--default", "store", str(tmp_path / "store"))
    (ada / ".gitattributes").write_bytes((ROOT / ".gitattributes").read_bytes())
    put(ada, "start", f1="1", f2="2", f3="3")
    run(tmp_path, "git", "clone", "--quiet", "origin", "ben")
    run(ben, "dvc", "pull", "--quiet")
    for clone in (ada, ben):
        line(clone, DRIVER)
    return ada, ben


@pytest.mark.parametrize("command", [DRIVER, *BRING, *TAKE_THEIRS])
def test_the_page_has_the_command(command):
    assert f"$ {command}" in PAGE


def test_both_added_and_one_removed(clones):
    ada, ben = clones
    put(ada, "ada adds", fa="a")
    put(ben, "ben adds and removes", push=False, fb="b", f3=None)
    for command in BRING:
        line(ben, command)
    assert files(ben) == {"1": "1", "2": "2", "a": "a", "b": "b"}
    assert run(ben, "git", "status", "--short").stdout == ""
    assert run(ben, "dvc", "status").stdout.startswith("Data and pipelines are up to date")


def test_without_the_line_of_each_clone_it_is_a_conflict(clones):
    """Git keeps the driver's command in the clone, and takes none from a repository."""
    ada, ben = clones
    run(ben, "git", "config", "--unset", "merge.dvc.driver")
    put(ada, "ada adds", fa="a")
    put(ben, "ben adds", push=False, fb="b")
    for command in BRING[:3]:
        line(ben, command)
    line(ben, BRING[3], code=1)
    assert run(ben, "git", "diff", "--name-only", "--diff-filter=U").stdout == f"{RAW}.dvc\n"
    run(ben, "git", "merge", "--abort")
    line(ben, DRIVER)
    for command in BRING[3:]:
        line(ben, command)
    assert files(ben) == {"1": "1", "2": "2", "3": "3", "a": "a", "b": "b"}


def test_a_file_that_both_changed_is_settled_and_nothing_else_is_lost(clones):
    ada, ben = clones
    put(ada, "ada changes", f1="A", fa="a")
    put(ben, "ben changes", push=False, f1="B", fb="b")
    for command in BRING[:3]:
        line(ben, command)
    refused = line(ben, BRING[3], code=1)
    assert "unable to auto-merge the following paths:\n1.txt" in refused.stderr
    assert files(ben) == {"1": "B", "2": "2", "3": "3", "b": "b"}
    for command in TAKE_THEIRS:
        line(ben, command)
    assert files(ben) == {"1": "A", "2": "2", "3": "3", "a": "a", "b": "b"}
    put(ben, "ours after all", f1="B")
    run(ada, "git", "pull", "--quiet")
    run(ada, "dvc", "pull", "--quiet")
    assert files(ada) == {"1": "B", "2": "2", "3": "3", "a": "a", "b": "b"}
