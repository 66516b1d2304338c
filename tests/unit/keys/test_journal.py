"""A journal keeps every epoch through kills and resumptions; its follower is on its own."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline.ground.errors import DataError, Interrupted, MachineError
from pipeline.keys import journal as module
from pipeline.keys.journal import Journal, is_written, journal_path, read_journal, start_follower
from pipeline.repo.state import state_folder


@pytest.fixture(autouse=True)
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    return tmp_path


def write(key, epochs, *, first_epoch=1, info=None):
    with Journal.open(key, info or {}, first_epoch=first_epoch) as log:
        for epoch, loss in epochs:
            log.epoch(epoch, {"train_loss": loss})


def losses(key):
    return [(e.epoch, e.values["train_loss"]) for e in read_journal(journal_path(key)).epochs]


def test_what_was_written_is_read(root):
    before = time.time_ns() // 1_000_000
    write("k", [(1, 0.5), (2, 0.1 + 0.2)], info={"params": {"lr": 1e-5}})
    record = read_journal(root / ".rootstock/journals/k.jsonl")
    assert record.status == "finished"
    assert record.info == {"params": {"lr": 1e-5}}
    assert losses("k") == [(1, 0.5), (2, 0.30000000000000004)]
    assert before <= record.start_ms <= record.epochs[0].time_ms <= record.end_ms


def test_the_state_folder_is_in_the_repository_not_in_the_working_directory(
    root, tmp_path_factory, monkeypatch
):
    monkeypatch.chdir(tmp_path_factory.mktemp("temporary experiment"))
    assert state_folder() == root / ".rootstock"
    monkeypatch.delenv("DVC_ROOT")
    assert state_folder().parent.samefile(".")


def test_each_epoch_is_on_disk_before_the_next_begins():
    with Journal.open("k", {}, first_epoch=1) as log:
        for epoch in (1, 2, 3):
            log.epoch(epoch, {"train_loss": 1.0})
            assert read_journal(log.path).epochs[-1].epoch == epoch
            assert read_journal(log.path).status == "running"


@pytest.mark.parametrize(
    ("first_epoch", "again", "expected"),
    [
        (3, [(3, 0.3), (4, 0.4)], [(1, 0.1), (2, 0.2), (3, 0.3), (4, 0.4)]),
        (2, [(2, 0.9)], [(1, 0.1), (2, 0.9)]),
        (1, [(1, 0.9)], [(1, 0.9)]),
        (1, [], []),
    ],
    ids=["goes on", "from the checkpoint before", "from the beginning", "nothing yet"],
)
def test_epochs_that_a_later_attempt_does_again_count_once(first_epoch, again, expected):
    write("k", [(1, 0.1), (2, 0.2), (3, 0.25)][: 3 if first_epoch < 3 else 2])
    write("k", again, first_epoch=first_epoch)
    assert losses("k") == expected


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (Interrupted("train", signal.SIGTERM), "stopped"),
        (KeyboardInterrupt(), "stopped"),
        (ValueError("a bug"), "failed"),
    ],
    ids=["signal", "ctrl-c", "bug"],
)
def test_how_a_training_ended_is_told_and_the_error_passes(error, status):
    with pytest.raises(type(error)), Journal.open("k", {}, first_epoch=1):
        raise error
    assert read_journal(journal_path("k")).status == status


def test_a_number_that_is_not_finite_is_null():
    with Journal.open("k", {}, first_epoch=1) as log:
        log.epoch(1, {"a": float("nan"), "b": float("inf"), "c": 0.5})
    assert read_journal(journal_path("k")).epochs[0].values == {"a": None, "b": None, "c": 0.5}


@pytest.mark.parametrize("cut", range(1, 12))
def test_a_line_cut_by_a_kill_is_dropped_and_the_next_attempt_is_whole(cut):
    write("k", [(1, 0.1), (2, 0.2)])
    path = journal_path("k")
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:3])[:-cut])
    assert losses("k") == [(1, 0.1)]
    write("k", [(2, 0.5)], first_epoch=2)
    assert losses("k") == [(1, 0.1), (2, 0.5)]
    assert all(json.loads(line) for line in path.read_text().splitlines())


def test_the_same_training_runs_once_at_a_time(monkeypatch):
    monkeypatch.setattr(module, "_LOCK_TIMEOUT_S", 0.2)
    with (
        Journal.open("k", {}, first_epoch=1),
        pytest.raises(MachineError, match=r"k\.jsonl: the same training is running already"),
        Journal.open("k", {}, first_epoch=1),
    ):
        pass


def test_a_training_that_was_killed_is_told_from_one_that_runs(root):
    code = (
        "import sys, time; from pipeline.keys.journal import Journal\n"
        "with Journal.open('k', {}, first_epoch=1) as log:\n"
        "    log.epoch(1, {'train_loss': 0.1}); print('written', flush=True); time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"written\n"
        assert is_written(journal_path("k"))
        process.kill()
    assert not is_written(journal_path("k"))
    assert read_journal(journal_path("k")).status == "running"
    assert losses("k") == [(1, 0.1)]


def test_a_missing_and_an_empty_journal_are_errors_of_one_line(root):
    with pytest.raises(DataError, match=r"no such journal \(run `dvc repro`\)"):
        read_journal(root / "none.jsonl")
    (root / "empty.jsonl").write_text("")
    with pytest.raises(DataError, match="holds no start"):
        read_journal(root / "empty.jsonl")


def test_the_follower_is_a_session_of_its_own_with_a_log(root, monkeypatch):
    """It ends at once here: there is no params.yaml."""
    monkeypatch.setenv("PYTHONPATH", str(Path.cwd()))
    monkeypatch.chdir(root)
    write("k", [(1, 0.1)])
    start_follower(journal_path("k"))
    output = root / ".rootstock/follow.log"
    deadline = time.monotonic() + 60
    while b"params.yaml: no such file" not in output.read_bytes():
        assert time.monotonic() < deadline, output.read_text()
        time.sleep(0.05)


def test_no_follower_where_the_environment_says_so(root, monkeypatch):
    monkeypatch.setenv("ROOTSTOCK_FOLLOW", "0")
    start_follower(root / "none.jsonl")
    assert not (root / ".rootstock/follow.log").exists()
