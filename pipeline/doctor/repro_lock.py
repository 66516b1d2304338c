"""One `rootstock repro` in a working tree at a time, on whatever host.

DVC knows of others by their process ids alone: on a network file system it takes another host's
process for a dead one, and two hosts then write the same outputs.
"""

import platform
import sys
import tempfile
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from pipeline.doctor.repository import running_dvc
from pipeline.ground.errors import MachineError
from pipeline.ground.findings import Finding, ok
from pipeline.ground.locks import (
    clear_holder,
    read_holder,
    this_process,
    try_lock,
    unlock,
    write_holder,
)

LOCK = Path(".rootstock") / "locks" / "repro.lock"
_LOOK_S = 0.5


@contextmanager
def repro_lock(wait_s: float = 0.0) -> Iterator[None]:
    """Hold the working tree's lock; what a host that was started again left is taken over.

    Args:
        wait_s: Seconds to wait for another `rootstock repro` or DVC that runs here.

    Raises:
        MachineError: It is held still, or another host holds it or died with it.
    """
    with _open() as stream:
        _acquire(stream, wait_s)
        write_holder(stream)
        try:
            yield
        finally:
            clear_holder(stream)


def check_locks() -> Generator[Finding, None, None]:
    """Try a lock, as every stage takes one.

    Raises:
        MachineError: The file system has no locks.
        OSError: The folder cannot be written.
    """
    folder = LOCK.parent if LOCK.parent.is_dir() else Path()
    with tempfile.TemporaryFile(dir=folder) as stream:
        try_lock(stream, folder / "a new file")
    yield ok("locks", "files can be locked")


def wait_for_dvc(wait_s: float) -> bool:
    """Wait for other processes of DVC that work here; tell whether there were any.

    Raises:
        MachineError: They still do when the time is over.
    """
    deadline, is_told = time.monotonic() + wait_s, False
    while dvc := running_dvc(Path.cwd()):
        if time.monotonic() >= deadline:
            raise MachineError(
                "dvc",
                f"another one (PID {dvc[0]}) works in this working tree",
                remedy="wait for it, or use --wait SECONDS; what is finished is kept",
            )
        if not is_told:
            sys.stderr.write(f"waiting up to {wait_s:g} s for DVC (PID {dvc[0]})\n")
            sys.stderr.flush()
            is_told = True
        time.sleep(_LOOK_S)
    return is_told


def _open() -> TextIO:
    try:
        LOCK.parent.mkdir(parents=True, exist_ok=True)
        return LOCK.open("a+", encoding="utf-8")
    except OSError as error:
        raise MachineError(
            LOCK, f"cannot be written: {error.strerror}", remedy="mend its access"
        ) from error


def _acquire(stream: TextIO, wait_s: float) -> None:
    deadline, is_told = time.monotonic() + wait_s, False
    while (holder := _holder(stream, is_waiting=wait_s > 0)) is not None:
        if time.monotonic() >= deadline:
            who, remedy = holder
            raise MachineError(LOCK, f"{who} works in this working tree", remedy=remedy)
        if not is_told:
            sys.stderr.write(f"waiting up to {wait_s:g} s for {holder[0]}\n")
            sys.stderr.flush()
            is_told = True
        time.sleep(_LOOK_S)


def _holder(stream: TextIO, *, is_waiting: bool) -> tuple[str, str] | None:
    """Return who works here, and what to do; None where nobody does, and the lock is ours."""
    if not try_lock(stream, LOCK):
        record = read_holder(stream)
        who = f"`rootstock repro` (PID {record.get('pid')}, {record.get('host')})"
        return who, "wait for it, or use --wait SECONDS"
    record = read_holder(stream)
    # The locks of some network file systems do not reach other hosts: then the record decides.
    if record and record.get("host") != platform.node():
        unlock(stream)
        return (
            f"`rootstock repro` on the host {record.get('host')!r} (PID {record.get('pid')})",
            f"use one clone for each host; if nothing runs there, remove {LOCK}",
        )
    dvc = running_dvc(Path.cwd()) if is_waiting else []
    if dvc:
        unlock(stream)
        return f"DVC (PID {dvc[0]})", "wait for it"
    if record and record.get("boot") != this_process()["boot"]:
        sys.stderr.write(f"{LOCK}: left from before this host was started again, is taken over\n")
    return None
