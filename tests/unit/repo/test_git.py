"""A repository that git cannot read is an error with a remedy, and not the same as none."""

import shutil
import subprocess

import pytest

from pipeline.cli import main
from pipeline.repo.git import GitError, ask_git, ask_line, has_commit, run_git
from pipeline.repo.history import read_history
from tests.support.closure import ROOT
from tests.support.project import ENVIRONMENT


def git(folder, *arguments):
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    subprocess.run(
        ["git", *identity, *arguments], cwd=folder, check=True, capture_output=True, env=ENVIRONMENT
    )


@pytest.fixture(scope="session")
def template(tmp_path_factory):
    """A repository with one commit; a copy of it takes no process."""
    folder = tmp_path_factory.mktemp("template")
    git(folder, "init", "--quiet", "--initial-branch", "main")
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copyfile(ROOT / name, folder / name)
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "a")
    return folder


@pytest.fixture
def repository(template, tmp_path, monkeypatch):
    folder = tmp_path / "my clone"
    shutil.copytree(template, folder)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    monkeypatch.chdir(folder)
    return folder


def of_another_owner(folder, monkeypatch):
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")


def moved_main_clone(folder, monkeypatch):
    git(folder, "worktree", "add", "--quiet", "../tree")
    folder.rename(folder.with_name("moved"))
    shutil.move(folder.with_name("tree"), folder)


def damaged_index(folder, monkeypatch):
    (folder / ".git/index").write_bytes(b"junk")


def index_of_a_newer_git(folder, monkeypatch):
    index = folder / ".git/index"
    index.write_bytes(b"DIRC\0\0\0\x63" + index.read_bytes()[8:])


def empty_head(folder, monkeypatch):
    (folder / ".git/HEAD").write_text("")


def cut_branch(folder, monkeypatch):
    (folder / ".git/refs/heads/main").write_text("")


def empty_objects(folder, monkeypatch):
    for each in (folder / ".git/objects").rglob("*"):
        if each.is_file():
            each.chmod(0o644)
            each.write_bytes(b"")


def lost_objects(folder, monkeypatch):
    shutil.rmtree(folder / ".git/objects")
    (folder / ".git/objects").mkdir()


def damaged_config(folder, monkeypatch):
    with (folder / ".git/config").open("a") as stream:
        stream.write("[core\n")


def damaged_config_of_the_user(folder, monkeypatch):
    (folder.parent / "user").write_text("]\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(folder.parent / "user"))


def format_of_a_newer_git(folder, monkeypatch):
    git(folder, "config", "core.repositoryformatversion", "9")


def bare(folder, monkeypatch):
    git(folder, "config", "core.bare", "true")


def empty_git_folder(folder, monkeypatch):
    shutil.rmtree(folder / ".git")
    (folder / ".git").mkdir()


def not_installed(folder, monkeypatch):
    monkeypatch.setenv("PATH", str(folder))


BREAKS = [
    (of_another_owner, "run `git config --global --add safe.directory '"),
    (moved_main_clone, "run `git worktree repair`"),
    (damaged_index, "/.git'/index`, then `git reset`"),
    (index_of_a_newer_git, "then `git reset`"),
    (empty_head, "restore '"),
    (cut_branch, "run `git fsck`"),
    (empty_objects, "run `git fsck`"),
    (lost_objects, "run `git fsck`"),
    (damaged_config, "mend that file"),
    (damaged_config_of_the_user, "mend that file"),
    (format_of_a_newer_git, "install a newer git"),
    (bare, "run `git config core.bare false`"),
    (empty_git_folder, "clone again, or remove it"),
    (not_installed, "install git"),
]


@pytest.mark.parametrize(("break_it", "remedy"), BREAKS, ids=[each.__name__ for each, _ in BREAKS])
def test_a_repository_that_git_cannot_read_is_told_with_what_to_do(
    repository, monkeypatch, break_it, remedy
):
    assert has_commit(repository)
    break_it(repository, monkeypatch)
    with pytest.raises(GitError) as caught:
        has_commit(repository)
    assert remedy in str(caught.value)
    assert caught.value.exit_code == 4


COMMANDS = (["repro"], ["lineage"], ["fsck"], ["data", "diff"], ["metrics", "diff"])


@pytest.mark.parametrize("command", COMMANDS, ids="-".join)
def test_every_command_ends_with_exit_4_and_one_line(repository, monkeypatch, capsys, command):
    (repository / "data/elpv").mkdir(parents=True)
    shutil.copyfile(ROOT / "data/elpv/dvc.yaml", repository / "data/elpv/dvc.yaml")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{repository}/no.db")
    of_another_owner(repository, monkeypatch)
    assert main(command) == 4
    told = capsys.readouterr()
    lines = [*told.out.splitlines(), *told.err.splitlines()]
    assert [line for line in lines if "git cannot read" in line][-1] == lines[-1]
    assert "safe.directory" in lines[-1]


def test_sync_does_not_take_a_refusal_for_an_empty_history(repository, monkeypatch):
    of_another_owner(repository, monkeypatch)
    with pytest.raises(GitError):
        read_history(repository)


ABSENT = {
    "no-such-file": ("show", "HEAD:./no"),
    "no-such-revision": ("rev-parse", "--verify", "--quiet", "no^{commit}"),
    "no-such-commit": ("cat-file", "-e", "1" * 40 + "^{commit}"),
    "branches-of-no-commit": ("branch", "--contains", "1" * 40),
    "no-remote": ("remote", "get-url", "origin"),
    "no-setting": ("config", "no.such"),
    "no-upstream": ("rev-list", "--count", "@{upstream}..HEAD"),
    "nothing-to-archive": ("archive", "--output=/dev/null", "--format=tar", "HEAD", "no"),
    "no-such-entry-of-the-reflog": ("rev-parse", "--verify", "--quiet", "main@{99}"),
}


@pytest.mark.parametrize("arguments", ABSENT.values(), ids=ABSENT)
def test_what_is_not_there_is_none_and_no_error(repository, arguments):
    assert ask_git(repository, *arguments) is None
    assert ask_line(repository, *arguments) == ""


def test_without_a_repository_or_a_commit_there_is_nothing_to_read(repository, monkeypatch):
    shutil.rmtree(repository / ".git")
    assert ask_git(repository, "rev-parse", "HEAD") is None
    assert not has_commit(repository)
    git(repository, "init", "--quiet")
    assert ask_git(repository, "rev-parse", "HEAD") is None
    assert not has_commit(repository)
    shutil.rmtree(repository / ".git")
    not_installed(repository, monkeypatch)
    assert not has_commit(repository)


def test_a_git_that_hangs_is_given_up(repository, monkeypatch):
    (repository / "git").write_text("#!/bin/sh\nexec /bin/sleep 60\n")
    (repository / "git").chmod(0o755)
    monkeypatch.setenv("PATH", str(repository))
    with pytest.raises(GitError, match=r"did not answer in 0\.2 s"):
        run_git(repository, "status", timeout_s=0.2)


def test_a_partial_clone_without_its_network_is_told(repository, tmp_path):
    git(repository, "config", "uploadpack.allowFilter", "true")
    url = f"file://{repository}"
    git(tmp_path, "clone", "--quiet", "--no-checkout", "--filter=blob:none", url, "partial")
    repository.rename(tmp_path / "away")
    with pytest.raises(GitError, match="connect to the network"):
        ask_git(tmp_path / "partial", "show", "HEAD:./params.yaml")
