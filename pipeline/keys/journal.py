"""What training writes while it runs: a line for each event, on disk before the next one begins.

The journal is the only thing that training tells the outside. A follower process reads it and
streams it to the tracking server; `publish` reads it when training is done. A server that is away
costs nothing: the journal stays.

One file for each training, `<project>/.rootstock/journals/<key>.jsonl`; one JSON object a line,
`kind` is `start`, `epoch` or `end`, `time_ms` is milliseconds since 1970. A training that was
stopped and goes on appends a second `start`. While it is being written, the file is locked, so that
anyone can tell a training that runs from one that died.
"""

import json
import logging
import math
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal

from pipeline.ground.errors import DataError, Interrupted, MachineError
from pipeline.ground.files import canonical_json
from pipeline.ground.locks import try_lock, wait_for_lock
from pipeline.repo.state import state_folder

Status = Literal["running", "finished", "stopped", "failed"]
"""`stopped`: by a signal, to go on later. `running` is also what a killed training leaves."""

log = logging.getLogger(__name__)

_LOCK_TIMEOUT_S = 5.0


def journal_path(key: str) -> Path:
    """Return the place of the journal of a training, by its `dvc.train` key."""
    return state_folder() / "journals" / f"{key}.jsonl"


@dataclass(frozen=True)
class Epoch:
    """What one epoch reported; a value that is no finite number is None."""

    epoch: int
    time_ms: int
    values: dict[str, float | None]


@dataclass(frozen=True)
class Record:
    """A journal as read: the epochs that led to the present state of the training, in order."""

    info: dict[str, Any]
    status: Status
    start_ms: int
    end_ms: int | None
    epochs: tuple[Epoch, ...]


class Journal:
    """The writing end; made by `Journal.open`."""

    def __init__(self, path: Path, stream: IO[str]) -> None:
        self.path = path
        self._stream = stream

    @classmethod
    @contextmanager
    def open(cls, key: str, info: Mapping[str, Any], *, first_epoch: int) -> Iterator["Journal"]:
        """Open the journal of a training, write its `start`, and at the end of the block its `end`.

        Args:
            key: The training's `dvc.train`.
            info: What readers may want to know of it; anything that JSON can hold.
            first_epoch: The epoch that comes next: 0, or more where a checkpoint is resumed.
                Epochs from there on that an earlier attempt reported no longer count.

        Raises:
            MachineError: The same training runs already, in this working tree or another one.
        """
        path = journal_path(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a+", encoding="utf-8") as stream:
            _lock(stream, path)
            _drop_torn_line(stream)
            journal = cls(path, stream)
            journal._write("start", {"info": dict(info), "first_epoch": first_epoch})
            try:
                yield journal
            except (Interrupted, KeyboardInterrupt):
                journal._write("end", {"status": "stopped"})
                raise
            except BaseException:
                journal._write("end", {"status": "failed"})
                raise
            journal._write("end", {"status": "finished"})

    def epoch(self, epoch: int, values: Mapping[str, float]) -> None:
        """Write what an epoch reported; it is on disk when this returns."""
        finite = {name: value if math.isfinite(value) else None for name, value in values.items()}
        self._write("epoch", {"epoch": epoch, "values": finite})

    def _write(self, kind: str, event: dict[str, Any]) -> None:
        event = {"kind": kind, "time_ms": time.time_ns() // 1_000_000, **event}
        self._stream.write(canonical_json(event) + "\n")
        self._stream.flush()
        os.fsync(self._stream.fileno())


def _lock(stream: IO[str], path: Path) -> None:
    # A reader that asks `is_written` holds it for a moment.
    if wait_for_lock(stream, path, timeout_s=_LOCK_TIMEOUT_S):
        return
    raise MachineError(path, "the same training is running already", remedy="wait, or stop it")


def _drop_torn_line(stream: IO[str]) -> None:
    """Cut off a last line that a kill left without its end; no reader has taken it."""
    stream.seek(0)
    text = stream.read()
    whole = text[: text.rfind("\n") + 1]
    if whole != text:
        stream.truncate(len(whole.encode()))
    stream.seek(0, os.SEEK_END)


def is_written(path: Path) -> bool:
    """Return whether a training holds the journal open."""
    with path.open("rb") as stream:
        return not try_lock(stream, path, shared=True)


def read_journal(path: Path) -> Record:
    """Read a journal, also while it is written: of each epoch, what the last attempt reported.

    Raises:
        DataError: There is no journal, or no training has begun in it.
    """
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").split("\n")[:-1]
    except FileNotFoundError as error:
        raise DataError(path, "no such journal", remedy="run `dvc repro`") from error
    start: dict[str, Any] = {}
    first_ms, end_ms = 0, None
    status: Status = "running"
    epochs: dict[int, Epoch] = {}
    for event in filter(None, map(_event, lines)):
        if event["kind"] == "start":
            start, status, end_ms = event, "running", None
            epochs = {e: epochs[e] for e in epochs if e < event["first_epoch"]}
            first_ms = first_ms if epochs else event["time_ms"]
        elif event["kind"] == "epoch":
            epochs[event["epoch"]] = Epoch(event["epoch"], event["time_ms"], event["values"])
        elif event["kind"] == "end":
            status, end_ms = event["status"], event["time_ms"]
    if not start:
        raise DataError(path, "holds no start of a training", remedy="delete it")
    return Record(start["info"], status, first_ms, end_ms, tuple(epochs[e] for e in sorted(epochs)))


def _event(line: str) -> dict[str, Any] | None:
    """Parse a line; None for what bit rot or a full disk made of one."""
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) and "kind" in event else None


def start_follower(path: Path) -> None:
    """Start the process that streams a journal to the tracking server, and leave it to itself.

    It outlives training, and nothing that happens to it reaches training. Its messages go to
    `.rootstock/follow.log`. With `ROOTSTOCK_FOLLOW=0` in the environment none is started.
    """
    if os.environ.get("ROOTSTOCK_FOLLOW") == "0":
        return
    with (state_folder() / "follow.log").open("ab") as output:
        command = [sys.executable, "-m", "pipeline.track.follow", str(path.resolve())]
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
        )
    process.returncode = 0  # it is on its own: nobody waits for it, and Popen need not warn
    log.info("epochs are streamed to MLflow (messages in %s)", output.name)
