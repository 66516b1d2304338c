"""A stage as a process: options from its signature, exit codes, one last line, one at a time."""

import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline.ground.errors import MachineError
from pipeline.ground.stage import machine_error, run_stage, stage_lock

SCRIPT = '''
"""Reads nothing. Writes --out."""
import sys, time
from pathlib import Path
from pydantic import Field
from pipeline.ground.errors import DataError, IntegrityError
from pipeline.ground.files import replacing
from pipeline.compute.engine import MachineParams
from pipeline.ground.params import Task
from pipeline.ground.stage import run_stage

def main(task: Task, machine: MachineParams, *, out: Path) -> None:
    """Do what the test asks for."""
    what = Path("what").read_text()
    if what == "data":
        raise DataError("a.csv", "must be good", field="x", got=1, remedy="mend it")
    if what == "integrity":
        raise IntegrityError("b", "two\\nlines")
    if what == "bug":
        1 / 0
    if what == "full":
        open("/dev/full", "w").write("x" * 100000)
    if what == "below":
        open("what/x", "w")
    if what == "sleep":
        with replacing(out) as scratch:
            scratch.write_text("half")
            Path("started").touch()
            time.sleep(600)
    with replacing(out) as scratch:
        scratch.write_text(f"{task} {machine.workers}")

if __name__ == "__main__":
    raise SystemExit(run_stage(main))
'''


@pytest.fixture
def project(tmp_path, monkeypatch):
    (tmp_path / "toy.py").write_text(SCRIPT, encoding="utf-8")
    (tmp_path / "what").write_text("fine", encoding="utf-8")
    params = "task: regression\nmachine: {workers: 3, progress: none, engine: local, ranks: 1}\n"
    (tmp_path / "params.yaml").write_text(params, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def start(**options):
    command = [sys.executable, "-m", "toy", "--out", "out.txt"]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, **options)


def run():
    process = start()
    _, stderr = process.communicate(timeout=60)
    return process.returncode, stderr


def test_sections_and_paths_arrive_by_name(project):
    assert run() == (0, "")
    assert (project / "out.txt").read_text(encoding="utf-8") == "regression 3"


@pytest.mark.parametrize(
    ("what", "code", "line"),
    [
        ("data", 3, "error: a.csv: x: must be good, got 1 (mend it)"),
        ("integrity", 5, "error: b: two lines"),
        ("below", 4, "error: what/x: Not a directory (use another path, then run again)"),
        ("full", 4, "error: toy: No space left on device (free space there, then run"),
    ],
)
def test_what_the_user_can_mend_is_one_line(project, what, code, line):
    (project / "what").write_text(what, encoding="utf-8")
    returncode, stderr = run()
    assert returncode == code
    assert stderr.splitlines()[-1].startswith(line)
    assert len(stderr.splitlines()) == 1
    failure = json.loads(Path(".rootstock/failure.json").read_text(encoding="utf-8"))
    assert failure["exit_code"] == code
    assert not (project / "out.txt").exists()


def test_our_own_bug_is_a_traceback_and_exit_code_1(project):
    (project / "what").write_text("bug", encoding="utf-8")
    returncode, stderr = run()
    assert returncode == 1
    assert "ZeroDivisionError" in stderr


def test_all_wrong_sections_are_told_at_once(project):
    text = "task: ranking\nmachine: {workers: 0, progress: none, engine: local, ranks: 1}\n"
    (project / "params.yaml").write_text(text, encoding="utf-8")
    returncode, stderr = run()
    assert returncode == 2
    assert "task: must be 'classification' or 'regression', got 'ranking'" in stderr
    assert "machine.workers" in stderr
    assert len(stderr.splitlines()) == 1


def test_an_unknown_option_is_exit_code_2(project):
    with pytest.raises(SystemExit) as caught:
        run_stage(lambda: None, ["--nonsense", "x"])
    assert caught.value.code == 2


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_stops_it_with_nothing_half_written(project, signum, code):
    (project / "what").write_text("sleep", encoding="utf-8")
    process = start()
    wait_for(project / "started")
    process.send_signal(signum)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == code
    assert stderr.splitlines()[-1].startswith(
        f"error: toy: stopped by {signal.Signals(signum).name}"
    )
    assert not list(project.glob("*out.txt*"))


def test_sigkill_leaves_nothing_that_looks_finished(project):
    (project / "what").write_text("sleep", encoding="utf-8")
    process = start()
    wait_for(project / "started")
    process.kill()
    process.communicate(timeout=60)
    assert not (project / "out.txt").exists()
    (project / "what").write_text("fine", encoding="utf-8")
    assert run() == (0, "")
    assert [path.name for path in project.glob("*out.txt*")] == ["out.txt"]


def test_it_ends_with_the_process_that_started_it(project):
    (project / "what").write_text("sleep", encoding="utf-8")
    code = (
        "import os, subprocess, sys, time\n"
        "p = subprocess.Popen([sys.executable, '-m', 'toy', '--out', 'out.txt'],\n"
        "                     env=os.environ | {'DVC_STAGE': 'toy'})\n"
        "open('child', 'w').write(str(p.pid))\n"
        "time.sleep(60)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL)
    wait_for(project / "started")
    child = int((project / "child").read_text(encoding="utf-8"))
    parent.kill()
    parent.wait()
    deadline = time.monotonic() + 60
    while is_running(child):
        assert time.monotonic() < deadline, "the orphan goes on"
        time.sleep(0.05)
    assert not (project / "out.txt").exists()


def test_the_same_stage_does_not_run_twice_at_once(project):
    with stage_lock("toy"):
        returncode, stderr = run()
    assert returncode == MachineError.exit_code
    assert "stage 'toy' is running already" in stderr
    assert str(os.getpid()) in stderr
    assert run() == (0, "")


def wait_for(path):
    deadline = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def is_running(pid):
    try:
        return "zombie" not in Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    except FileNotFoundError:
        return False


def test_the_interpreter_ends_without_a_last_look_for_garbage():
    code = """if True:
        import atexit, gc
        from pipeline.ground.stage import begin_process
        atexit.register(lambda: print(gc.get_freeze_count() > 1000))  # runs after what comes next
        begin_process()
        print(gc.get_freeze_count())
    """
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[3])}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    )
    assert done.stdout.split() == ["0", "True"]


NAMES = ("USER", "LOGNAME", "USERNAME", "LNAME", "HOME")


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({}, ["uid-54321", "/"]),
        ({"HOME": "/srv"}, ["uid-54321", "/srv"]),
        ({"USER": "ada"}, ["ada", "/"]),
        ({"LOGNAME": "ada", "HOME": "/srv"}, ["ada", "/srv"]),
    ],
    ids=["nothing", "home", "user", "both"],
)
def test_a_user_that_the_system_does_not_know_gets_a_name_and_a_home(given, told):
    unshare = ["unshare", "--user", "--map-user=54321", "--map-group=54321"]
    if subprocess.run([*unshare, "true"], check=False, capture_output=True).returncode:
        pytest.skip("this machine makes no user namespaces")
    code = """if True:
        import getpass, pathlib
        from pipeline.ground.stage import begin_process
        begin_process()
        print(getpass.getuser(), pathlib.Path.home())
    """
    kept = {name: text for name, text in os.environ.items() if name not in NAMES}
    environment = kept | given | {"PYTHONPATH": str(Path(__file__).parents[3])}
    done = subprocess.run(
        [*unshare, sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env=environment,
    )
    assert done.stdout.split() == told


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("ENOSPC", "free space there"),
        ("EDQUOT", "free space there"),
        ("EACCES", "mend its access"),
        ("EPERM", "mend its access"),
        ("EROFS", "mend its access"),
        ("EMFILE", "`ulimit -n`"),
        ("ENOMEM", "free memory"),
        ("EAGAIN", "free memory"),
        ("ESTALE", "network"),
        ("ENOTCONN", "network"),
        ("EIO", "look at the disk"),
        ("ENAMETOOLONG", "another path"),
        ("ELOOP", "another path"),
        ("ENOLCK", "a disk that can do this"),
        ("EBUSY", "wait for what uses it"),
    ],
)
def test_errors_of_the_machine_have_a_remedy(name, remedy):
    number = getattr(errno, name)
    told = machine_error(OSError(number, "", "/a/b"), "toy", then="run again")
    assert told.exit_code == 4
    assert str(told).startswith(f"/a/b: {os.strerror(number)} (")
    assert remedy in str(told)
    assert str(told).endswith(", then run again)")


@pytest.mark.parametrize("name", ["ENOENT", "EBADF", "EINVAL", "EEXIST"])
def test_other_errors_of_the_system_are_our_own_bugs(name):
    assert machine_error(OSError(getattr(errno, name), ""), "toy") is None


def settled_stage(tmp_path, monkeypatch, recipe):
    """Run a stage in this process that reads a value which may be `auto`; give what it saw."""
    from pipeline.ground.params import Unchecked

    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text("transform: {resize: auto, size_px: 8}\n")
    if recipe is not None:
        (tmp_path / "recipe.json").write_text(recipe)
    seen = []

    def main(transform: Unchecked) -> None:
        seen.append(transform._raw["transform"])

    main.__annotations__["transform"] = Unchecked
    return run_stage(main, ["--recipe", "recipe.json"], settled=True), seen


def test_a_stage_sees_the_choices_of_the_recipe(tmp_path, monkeypatch):
    recipe = '{"choices": {"transform.resize": "pad", "transform.size_px": 99}}'
    code, seen = settled_stage(tmp_path, monkeypatch, recipe)
    assert (code, seen) == (0, [{"resize": "pad", "size_px": 8}])


@pytest.mark.parametrize(
    ("recipe", "code"), [(None, 3), ("{}", 5), ("[1]", 5), ('{"choices": 3}', 5)]
)
def test_a_recipe_that_is_missing_or_none_is_one_line(tmp_path, monkeypatch, capsys, recipe, code):
    assert settled_stage(tmp_path, monkeypatch, recipe) == (code, [])
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith("error: recipe.json: ")
