"""What a machine may lack: file locks, room in a path, an encoding, a disk that can be written."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.doctor.repro_lock import check_locks
from pipeline.ground.errors import MachineError, TrackingError
from pipeline.ground.findings import gather
from pipeline.ground.locks import try_lock
from pipeline.repo.state import scratch_folder
from pipeline.track import connection as tracking
from pipeline.track.connection import probe, refuse_percent_sign
from tests.support.closure import ROOT

NO_LOCKS = """
import errno, fcntl, os
def flock(descriptor, operation):
    raise OSError({number}, os.strerror({number}))
fcntl.flock = flock
"""


def without_locks(folder, number=errno.ENOLCK):
    (folder / "sitecustomize.py").write_text(NO_LOCKS.format(number=number))
    return os.environ | {"PYTHONPATH": f"{folder}{os.pathsep}{ROOT}"}


def run(cwd, environment, *command):
    return subprocess.run(
        [sys.executable, "-m", *command],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def project(tmp_path):
    folder = tmp_path / "clone"
    (folder / "data/elpv").mkdir(parents=True)
    for name in ("params.yaml", "dvc.yaml", "data/elpv/dvc.yaml"):
        (folder / name).write_bytes((ROOT / name).read_bytes())
    return folder


COMMANDS = {
    "repro": ("pipeline.cli", "repro"),
    "a stage": (
        "stages.transform",
        "--raw",
        "r",
        "--manifest",
        "m",
        "--store",
        "s",
        "--key",
        "k",
        "--recipe",
        "c",
    ),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_a_disk_without_locks_is_an_error_of_the_machine(project, tmp_path, command):
    done = run(project, without_locks(tmp_path), *COMMANDS[command])
    assert done.returncode == 4, done.stderr
    last = done.stderr.splitlines()[-1]
    assert "has no file locks (mount it with locks" in last
    assert "Traceback" not in done.stderr


def test_the_doctor_tries_a_lock(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert [each.level for each in gather("locks", check_locks())[0]] == ["ok"]

    def refuse(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", refuse)
    (error,) = gather("locks", check_locks())[0]
    assert error.exit_code == 4
    assert "has no file locks" in error.line()


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EINVAL])
def test_every_way_to_say_that_there_are_no_locks(tmp_path, monkeypatch, number):
    def refuse(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("fcntl.flock", refuse)
    path = tmp_path / "a.lock"
    with path.open("a") as stream, pytest.raises(MachineError, match="cannot be locked"):
        try_lock(stream, path)


@pytest.mark.parametrize(
    ("uri", "remedy"),
    [
        ("127.0.0.1:5000", "write http://127.0.0.1:5000"),
        ("mlflow.team.example:80/base", "write http://mlflow.team.example:80/base"),
        ("./mlruns", "name a database, as sqlite:///mlflow.db"),
        ("file:///srv/mlruns", "name a database, as sqlite:///mlflow.db"),
        ("postgres://db/mlflow", "write postgresql://"),
        ("htp://tracking", "name a server or a database"),
        ("databricks", "name a server or a database"),
        ("http:/tracking:5000", "write http://tracking:5000"),
        ("https:eva:secret@tracking", "write https://tracking)"),
        ("sqlite:/runs.db", "write sqlite:///runs.db"),
        ("sqlite://", "name a server or a database"),  # in memory: no run would be kept
        (" http://tracking\n", "take away the blanks or quotes"),
        ("'http://tracking'", "take away the blanks or quotes"),
    ],
)
def test_an_address_of_no_server_says_what_to_write(uri, remedy):
    with pytest.raises(TrackingError, match="must begin with http://") as raised:
        probe(uri)
    assert remedy in str(raised.value)
    assert "secret" not in str(raised.value)


def test_an_environment_with_a_percent_sign_opens_no_database(tmp_path, monkeypatch):
    package = tmp_path / "100%" / "mlflow"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    monkeypatch.delitem(sys.modules, "mlflow", raising=False)
    monkeypatch.syspath_prepend(str(package.parent))
    with pytest.raises(MachineError, match="no percent sign") as raised:
        refuse_percent_sign("sqlite:///mlflow.db")
    assert "make VENV=" in str(raised.value)
    refuse_percent_sign("http://127.0.0.1:5000")


def test_a_percent_sign_stops_repro_before_any_stage(project, tmp_path):
    package = tmp_path / "100%" / "mlflow"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    path = os.pathsep.join([str(package.parent), str(ROOT)])
    done = run(project, os.environ | {"PYTHONPATH": path}, "pipeline.cli", "repro")
    assert done.returncode == 4
    assert "no percent sign" in done.stderr.splitlines()[-1]


@pytest.mark.parametrize("present", ["state", "home", "neither"])
def test_a_read_only_clone_has_its_scratch_elsewhere(tmp_path, monkeypatch, present):
    monkeypatch.chdir(tmp_path)
    locked = tmp_path / "clone"
    real = os.access

    def access(path, mode):  # root may write everywhere: say what a read-only disk says
        return not Path(path).is_relative_to(locked) and real(path, mode)

    locked.mkdir()
    monkeypatch.chdir(locked)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    monkeypatch.setattr("os.access", access)
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path / "tmp"))
    monkeypatch.setenv("HOME", str(tmp_path if present == "home" else locked))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state") if present == "state" else "")
    expected = {
        "state": tmp_path / "state/rootstock",
        "home": tmp_path / ".local/state/rootstock",
        "neither": tmp_path / f"tmp/rootstock-{os.getuid()}",
    }
    assert scratch_folder() == expected[present]
    assert expected[present].stat().st_mode & 0o777 == 0o700
    expected[present].chmod(0o777)  # anybody may have put something there
    assert scratch_folder() != expected[present]


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "utf-8"])
def test_output_in_an_encoding_that_lacks_a_character_is_escaped(encoding):
    program = "import pipeline.cli as c; c._write_any_character(); print('猫 \\udcff')"
    environment = os.environ | {"PYTHONIOENCODING": encoding}
    shown = subprocess.run(
        [sys.executable, "-c", program], env=environment, cwd=ROOT, check=True, capture_output=True
    ).stdout.decode(encoding)
    assert shown == ("猫" if encoding == "utf-8" else "\\u732b") + " \\udcff\n"


def test_the_module_is_the_only_one_that_locks():
    files = [path for path in (ROOT / "pipeline").rglob("*.py") if "flock(" in path.read_text()]
    assert [path.name for path in files] == ["locks.py"]
    assert not hasattr(tracking, "fcntl")
