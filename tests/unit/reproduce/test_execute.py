"""Which interpreter rebuilds a commit."""

import io
import subprocess
import sys

import pytest

from pipeline.ground.errors import MachineError
from pipeline.reproduce import execute
from pipeline.reproduce.execute import choose_python

LOCK = "requirements.lock"
WEIGHTS = "requirements-weights.lock"


@pytest.fixture
def trees(tmp_path):
    """Two trees with the same lock files."""
    both = tmp_path / "ours", tmp_path / "theirs"
    for tree in both:
        tree.mkdir()
        (tree / LOCK).write_text("numpy==2.4.6\n")
        (tree / WEIGHTS).write_text("some-weights==1.0\n")
    return both


@pytest.fixture
def commands(monkeypatch):
    """The commands that were run; each one succeeds."""
    ran = []

    def run(command, **options):
        ran.append(command)
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(execute.subprocess, "run", run)
    return ran


def test_same_lock_files_need_no_environment(trees, commands):
    assert choose_python(*trees, io.StringIO()) == (execute.Path(sys.executable), False)
    (trees[1] / LOCK).unlink()
    assert choose_python(*trees, io.StringIO())[1] is False, "a commit without a lock file"
    assert commands == []


@pytest.mark.parametrize("name", [LOCK, WEIGHTS])
def test_either_lock_file_decides(trees, commands, name):
    (trees[1] / name).write_text("other==2.0\n")
    python, is_own = choose_python(*trees, io.StringIO())
    assert is_own
    assert python.is_relative_to(trees[1])
    _, packages, weights = commands
    assert packages[-1] == str(trees[1] / LOCK)
    assert "--no-deps" not in packages
    assert weights[-1] == str(trees[1] / WEIGHTS)
    assert {"--no-deps", "--require-hashes"} <= set(weights)


def test_a_commit_from_before_weights_had_a_lock_file_is_installed_without_it(trees, commands):
    (trees[1] / WEIGHTS).unlink()
    assert choose_python(*trees, io.StringIO())[1]
    assert len(commands) == 2


def test_what_pip_cannot_install_is_told(trees, monkeypatch):
    (trees[1] / LOCK).write_text("other==2.0\n")
    failed = subprocess.CompletedProcess([], 1)
    monkeypatch.setattr(execute.subprocess, "run", lambda command, **options: failed)
    with pytest.raises(MachineError, match="cannot be installed"):
        choose_python(*trees, io.StringIO())
