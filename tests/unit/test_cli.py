"""The command line looks before it runs, and its last line says what is wrong."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import yaml

from pipeline.cli import _go_to_project, command_line, main
from pipeline.commands import history, predict, running
from pipeline.commands.running import _pin_placed
from pipeline.ground.files import write_json
from pipeline.repo.state import state_folder
from tests.support.closure import ROOT

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
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
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


def test_the_ui_says_which_columns_to_choose(project, monkeypatch, capsys):
    calls = []
    monkeypatch.setattr(running, "run_program", lambda *given: calls.append(given) or 0)
    (project / "mlflow.db").write_bytes(b"SQLite format 3\0")
    assert main(["ui", "--port", "1"]) == 0
    out = capsys.readouterr().out
    assert "http://rootstock.localhost:1 " in out
    assert "train.strategy" in out
    ((command, environment),) = calls
    assert command[command.index("--workers") + 1] == "1"
    assert environment == {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}


def test_the_ui_of_what_is_no_database_is_one_line(project, capsys):
    (project / "mlflow.db").write_text("nothing", encoding="utf-8")
    assert main(["ui", "--port", "1"]) == 6
    assert "the file is no SQLite database" in capsys.readouterr().err


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


PLACES = ("data", "data/mine/raw/cat", "artifacts/evaluate")
"""Subfolders of a project that a user may stand in."""


@pytest.fixture
def finished(project):
    """A project with a result's metrics, and folders to stand in."""
    for name in ("dvc.yaml", "artifacts/evaluate/metrics.json"):
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_bytes((ROOT / name).read_bytes())
    for place in PLACES:
        (project / place).mkdir(parents=True, exist_ok=True)
    return project


def caught(monkeypatch, module, name="run"):
    """Give the list of what a command is called with, and where."""
    calls = []
    monkeypatch.setattr(module, name, lambda given: calls.append((given, Path.cwd())) or 0)
    return calls


@pytest.mark.parametrize("place", PLACES)
def test_a_command_runs_in_the_project_above_and_paths_stay_what_they_mean(
    finished, monkeypatch, place
):
    monkeypatch.chdir(finished / place)
    calls = caught(monkeypatch, history, "_lineage")
    metrics = os.path.relpath(finished / "artifacts/evaluate/metrics.json")
    assert main(["lineage", metrics]) == 0
    monkeypatch.chdir(finished / place)
    assert main(["lineage", "models:/elpv-cells@champion"]) == 0
    assert [(given.what, cwd) for given, cwd in calls] == [
        ("artifacts/evaluate/metrics.json", finished),
        ("models:/elpv-cells@champion", finished),
    ]


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (
            ["export", "../../artifacts", "--format", "onnx", "-o", "out"],
            {"model": "artifacts", "output": Path("data/mine/out")},
        ),
        (["data", "diff", "--sheet", "/tmp/sheet.png"], {"sheet": Path("/tmp/sheet.png")}),
        (["data", "diff", "HEAD", "--sheet", "../x.png"], {"sheet": Path("data/x.png")}),
        (
            ["repro", "clean", "../small/dvc.yaml:fetch", "raw.dvc"],
            {"rest": ["clean", "data/small/dvc.yaml:fetch", "data/mine/raw.dvc"]},
        ),
    ],
    ids=["export", "absolute", "sheet", "targets-of-dvc"],
)
def test_every_path_that_is_given_begins_where_the_user_stands(finished, words, names, monkeypatch):
    (finished / "data/small").mkdir()
    for file in ("data/small/dvc.yaml", "data/mine/raw.dvc"):
        (finished / file).write_text("")
    monkeypatch.chdir(finished / "data/mine")
    parsed = command_line().parse_known_args(words)
    arguments, arguments.rest = parsed
    _go_to_project(arguments)
    assert Path.cwd() == finished
    for name, value in names.items():
        found = getattr(arguments, name)
        if isinstance(value, Path):
            assert found.resolve() == (finished / value).resolve()
        else:
            assert found == value


def test_predict_names_files_as_they_were_given_and_keeps_its_state_in_the_project(
    finished, monkeypatch
):
    monkeypatch.chdir(finished / "data/mine")
    calls = caught(monkeypatch, predict, "_predict")
    assert main(["predict", "models:/a@b", "raw/cat"]) == 0
    ((given, cwd),) = calls
    assert (given.paths, cwd) == (["raw/cat"], finished / "data/mine")
    assert state_folder() == finished / ".rootstock"


def test_the_nearest_of_two_projects_is_meant(finished, monkeypatch):
    inner = finished / "other/below"
    inner.mkdir(parents=True)
    for name in ("params.yaml", "dvc.yaml"):
        (finished / "other" / name).write_text("{}\n")
    monkeypatch.chdir(inner)
    calls = caught(monkeypatch, history, "_lineage")
    assert main(["lineage"]) == 0
    assert calls[0][1] == finished / "other"


@pytest.mark.parametrize(
    "words",
    [["repro"], ["doctor"], ["fsck"], ["sync"], ["data", "diff"], ["audit"], ["ui"], ["lineage"]],
    ids="-".join,
)
def test_outside_of_any_project_one_line_says_so(tmp_path, monkeypatch, capsys, words):
    monkeypatch.chdir(tmp_path)
    assert main(words) == 4
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {tmp_path}: is in no project")
    assert "`cd` into a clone" in line
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_was_removed_is_one_line(tmp_path, monkeypatch, capsys):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert main(["doctor"]) == 4
    assert "this folder was removed (`cd` into another)" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("dvc_folder", "working", "root", "state"),
    [
        (".", ".", ".", ".rootstock"),
        (".", "ml", ".", "ml/.rootstock"),
        ("ml", "ml", "ml", "ml/.rootstock"),
        (".dvc/tmp/exps/x", ".dvc/tmp/exps/x", ".", ".rootstock"),
        (".dvc/tmp/exps/x", ".dvc/tmp/exps/x/ml", ".", "ml/.rootstock"),
        ("ml/.dvc/tmp/exps/x/ml", "ml/.dvc/tmp/exps/x/ml", "ml", "ml/.rootstock"),
    ],
    ids=["top", "below-a-shared-dvc", "subdir", "temp", "temp-below", "temp-of-a-subdir"],
)
def test_a_stage_keeps_its_state_in_its_project(
    tmp_path, monkeypatch, dvc_folder, working, root, state
):
    for folder in (f"{dvc_folder}/.dvc", working):
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
    monkeypatch.chdir(tmp_path / working)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path / root))
    assert state_folder() == tmp_path / state


def test_what_small_classes_got_in_train_is_pinned_once(project, capsys):
    placed = [{"id": "ab" * 32, "split": "train", "path": "emu/1.png"}]
    write_json(project / "artifacts/clean/report.json", {"placed": placed})
    assert _pin_placed()
    assert "keep their place in train from now on; commit the file" in capsys.readouterr().err
    text = (project / "review/splits/elpv.csv").read_text()
    assert text.splitlines()[1] == f"{'ab' * 32},train,emu/1.png"
    assert not _pin_placed()
