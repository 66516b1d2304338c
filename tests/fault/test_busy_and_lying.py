"""`rootstock repro` beside another DVC, and with a remote that lacks or lies: F4, F10, F11."""

import os
import signal
import subprocess

import pytest

from tests.fault.test_damaged_files import object_of
from tests.support.closure import ROOT
from tests.support.project import ENVIRONMENT, run, set_params
from tests.support.servers import until

pytestmark = pytest.mark.slow

PULLED = """stages:
  join: {cmd: cat raw/1 raw/2 > both.txt, deps: [raw], outs: [both.txt]}
"""
WAITING = """stages:
  first:
    cmd: touch first.on && while ! test -e first.go; do sleep 0.1; done && echo 1 > first
    outs: [first]
  second:
    cmd: touch second.on && while ! test -e second.go; do sleep 0.1; done && echo 2 > second
    outs: [second]
"""


def begin(folder, graph):
    """Make a repository with raw data, whose params.yaml is right, and whose graph is small."""
    run(folder, "git", "init", "--quiet")
    run(folder, "dvc", "init", "--quiet")
    (folder / "params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
    set_params(folder, data={"path": "raw", "labels": "raw"}, machine={"progress": "none"})
    (folder / "raw").mkdir()
    (folder / "raw/1").write_text("one\n")
    (folder / "raw/2").write_text("two\n")
    run(folder, "dvc", "add", "--quiet", "raw")
    (folder / "dvc.yaml").write_text(graph)
    return folder


@pytest.fixture
def emptied(tmp_path):
    """Give a repository whose data and results are on its remote alone."""
    folder = tmp_path / "here"
    folder.mkdir()
    begin(folder, PULLED)
    run(folder, "dvc", "remote", "add", "--quiet", "--default", "store", str(tmp_path / "store"))
    run(folder, "dvc", "repro", "--quiet")
    run(folder, "dvc", "push", "--quiet")
    run(folder, "rm", "-rf", ".dvc/cache", ".dvc/tmp", "raw", "both.txt")
    return folder


def stored(folder, content):
    return object_of(content, folder.parent / "store")


def pull_and_repro(folder, code):
    """Give the last line that it wrote."""
    return run(folder, "rootstock", "repro", "--pull", code=code).stderr.splitlines()[-1:]


def test_f10_an_output_that_the_remote_lacks_is_made_again(emptied):
    stored(emptied, b"one\ntwo\n").unlink()
    assert "both.txt" in run(emptied, "dvc", "status", "--cloud").stdout
    assert "Missing cache files" in run(emptied, "dvc", "fetch").stderr  # and ends with 0
    done = run(emptied, "rootstock", "repro", "--pull")
    assert "Running stage 'join'" in done.stdout
    assert (emptied / "both.txt").read_text() == "one\ntwo\n"


def test_f10_raw_data_that_the_remote_lacks_are_one_line(emptied):
    lock = (emptied / "dvc.lock").read_bytes()
    stored(emptied, b"one\n").unlink()
    (last,) = pull_and_repro(emptied, 4)
    assert last.startswith("error: dvc: could not run (its own message is above; what a remote")
    assert "`dvc push` where it is" in last
    assert (emptied / "dvc.lock").read_bytes() == lock


def test_f11_what_a_lying_remote_gave_is_an_error_that_names_it(emptied):
    """DVC itself says that all is up to date; with `verify` it refuses."""
    place = stored(emptied, b"one\n")
    place.chmod(0o644)
    place.write_text("ONE\n")
    (last,) = pull_and_repro(emptied, 5)
    damaged = object_of(b"one\n")
    assert last.startswith(f"error: {damaged}: is damaged, as are 0 more objects")
    assert "`verify` on the remote" in last
    assert "fsck --fix" in last
    run(emptied, "rootstock", "fsck", "--fix", code=5)  # raw/ has the bytes of the object still
    run(emptied, "rm", "-rf", "raw")
    run(emptied, "dvc", "remote", "modify", "store", "verify", "true")
    (last,) = pull_and_repro(emptied, 4)
    assert last.startswith("error: dvc: could not run")
    place.write_text("one\n")
    run(emptied, "rootstock", "repro", "--pull")
    assert (emptied / "raw/1").read_text() == "one\n"


@pytest.fixture
def start():
    """Start programs; those that still run at the end are ended, with their children."""
    started = []

    def begin_program(folder, *command):
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=ENVIRONMENT,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        started.append(process)
        return process

    yield begin_program
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()


def wait_for(path):
    until(path.exists, seconds=300)  # all that the pipeline computes with is imported first


@pytest.mark.parametrize("waits", [True, False])
def test_f4_a_dvc_that_was_started_later_is_waited_for_or_named(tmp_path, start, waits):
    """It holds what our own comes to only after its first stage."""
    folder = begin(tmp_path, WAITING)
    ours = start(folder, "rootstock", "repro", "--wait", "300" if waits else "0")
    wait_for(folder / "first.on")
    other = start(folder, "dvc", "repro", "--single-item", "second")
    wait_for(folder / "second.on")
    (folder / "first.go").touch()
    if not waits:
        text, _ = ours.communicate(timeout=300)
        (folder / "second.go").touch()
        assert ours.returncode == 4, text
        assert text.splitlines()[-1].startswith(
            f"error: dvc: another one (PID {other.pid}) works in this working tree (wait for it"
        )
        other.communicate(timeout=300)
        return
    told = ""
    while f"waiting up to 300 s for DVC (PID {other.pid})" not in told:
        line = ours.stdout.readline()
        assert line, told
        told += line
    (folder / "second.go").touch()
    text, _ = ours.communicate(timeout=300)
    assert ours.returncode == 0, told + text
    assert other.wait(timeout=300) == 0
    assert "Stage 'second' didn't change" in text
    assert [(folder / name).read_text() for name in ("first", "second")] == ["1\n", "2\n"]
