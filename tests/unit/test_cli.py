"""The command line looks before it runs, and its last line says what is wrong."""

import signal
import socket
import subprocess
import sys
import time

import psutil
import pytest
import yaml

from pipeline.cli import main
from tests.closure import ROOT

LOCK = "schema: '2.0'\nstages:\n  a:\n    cmd: x\n"


@pytest.fixture
def project(tmp_path, monkeypatch):
    (tmp_path / "params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
    (tmp_path / "data/elpv").mkdir(parents=True)
    (tmp_path / "data/elpv/dvc.yaml").write_bytes((ROOT / "data/elpv/dvc.yaml").read_bytes())
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        ("<<<<<<< HEAD\nstages: {}\n", 2, "dvc.lock: has the markers of an unresolved merge"),
        (LOCK + "    deps: [", 4, "dvc.lock: is cut or damaged"),
        (LOCK[:10], 4, "dvc.lock: is cut or damaged"),
        (LOCK[:-2], 4, "dvc.lock: is cut or damaged"),
        ("", 4, "dvc.lock: is cut or damaged"),
    ],
    ids=["merge", "cut-late", "cut-early", "cut-in-a-value", "empty"],
)
def test_a_bad_lock_file_is_named_with_its_remedy(project, capsys, text, code, message):
    (project / "dvc.lock").write_text(text, encoding="utf-8")
    assert main(["repro"]) == code
    stderr = capsys.readouterr().err
    assert stderr.startswith(f"error: {message}")
    assert "git checkout" in stderr
    assert len(stderr.splitlines()) == 1


def test_unsafe_raw_data_is_refused_before_dvc_meets_it(project, capsys):
    raw = project / "data/elpv/raw"
    raw.mkdir(parents=True)
    (raw / "out.png").symlink_to("/etc/hostname")
    assert main(["repro"]) == 3
    assert "a link that leaves the data folder" in capsys.readouterr().err


def test_params_are_looked_at_first(project, capsys):
    (project / "params.yaml").write_text("lr: 1_000\n", encoding="utf-8")
    assert main(["repro"]) == 2
    assert capsys.readouterr().err.startswith("error: params.yaml:1: '1_000' is read differently")


def test_help_names_the_commands():
    done = subprocess.run(
        [sys.executable, "-m", "pipeline.cli", "--help"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "repro" in done.stdout
    assert "ui" in done.stdout


def test_the_ui_of_a_tracking_server_is_its_own_address(monkeypatch, capsys):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://user:secret@mlflow.example.org/team")
    assert main(["ui"]) == 0
    out = capsys.readouterr().out
    assert "https://mlflow.example.org/team" in out
    assert "secret" not in out


def test_a_taken_port_is_told_before_anything_starts(project, capsys):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert main(["ui", "--port", str(port)]) == 4
    assert f"--port: something listens there already, got {port}" in capsys.readouterr().err
    assert not (project / "mlflow.db").exists()


@pytest.mark.parametrize("field", ["path", "labels"])
def test_a_mistyped_data_path_is_named_before_dvc_starts(project, capsys, field):
    text = (project / "params.yaml").read_text(encoding="utf-8")
    text = text.replace(f"  {field}: data/elpv/raw", f"  {field}: data/elvp/raw")
    (project / "params.yaml").write_text(text, encoding="utf-8")
    assert main(["repro"]) == 2
    stderr = capsys.readouterr().err
    assert f"data.{field}: no such file or folder, got 'data/elvp/raw'" in stderr


def test_what_dvc_itself_refuses_ends_in_our_line_with_exit_code_4(project, capfd):
    assert main(["repro", "--no-such-option"]) == 2
    assert main(["repro"]) == 4
    assert capfd.readouterr().err.splitlines()[-1].startswith("error: dvc: could not run")


def test_outs_are_ignored_by_git_whatever_dvc_does_to_its_own_ignore_files():
    graph = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))
    for stage in graph["stages"].values():
        for out in [*stage.get("outs", []), *stage.get("metrics", [])]:
            is_cached = isinstance(out, str)
            path = out if is_cached else next(iter(out))
            command = ["git", "check-ignore", "--quiet", "--no-index", path]
            done = subprocess.run(command, cwd=ROOT, check=False)
            assert (done.returncode == 0) == is_cached, path


PROGRAM = """
import subprocess, sys
from pathlib import Path
from pipeline.commands.running import run_program

BELOW = "import subprocess, sys; p = subprocess.Popen(['sleep', '600']); " \
        "print(p.pid, file=open(sys.argv[1], 'w'), flush=True); p.wait()"
sys.exit(run_program([sys.executable, "-c", BELOW, sys.argv[1]]))
"""


def test_sigterm_ends_all_that_runs_below_and_the_command_itself(tmp_path):
    note = tmp_path / "pid"
    process = subprocess.Popen([sys.executable, "-c", PROGRAM, str(note)], cwd=ROOT)
    deadline = time.monotonic() + 60
    while not (note.exists() and note.read_text().strip()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    try:
        assert process.wait(timeout=60) == 128 + signal.SIGTERM
    finally:
        process.kill()
    deadline = time.monotonic() + 60  # it was told to end, and ends in a moment of its own
    while is_running(int(note.read_text())):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def is_running(pid):
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
