"""Programs that this one starts: their environment, and how all of them end."""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
from typing import Any, NamedTuple

import psutil

_PR_SET_PDEATHSIG = 1

QUIET = {"DVC_NO_ANALYTICS": "true", "MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
"""Environment: nothing that we start reports home."""

_SPINS = {"GOMP_SPINCOUNT": "1000"}
"""Environment: torch's threads sleep soon while they wait for each other. As GNU OpenMP comes, they
spin for milliseconds: one other busy program on the cores, and a step takes ten times as long."""


def sharing_cores() -> dict[str, str]:
    """Return the environment with which torch's threads leave cores to others as they wait.

    It changes no result. Torch takes it when it is imported. What the user has set stays.
    """
    names = {"OMP_WAIT_POLICY", *_SPINS}
    return {} if names & os.environ.keys() else dict(_SPINS)


class Launched(NamedTuple):
    """What torchrun says of a process that it has started."""

    rank: int
    """Its number among all, from 0."""

    ranks: int
    """Of all machines together."""

    rank_here: int
    ranks_here: int
    """On this machine."""


def launched() -> Launched | None:
    """Return what torchrun says of this process; None where another program has started it."""
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        return None
    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
    return Launched(*(int(os.environ[name]) for name in names))


def follows() -> bool:
    """Return whether another process, which torchrun has started too, writes the files."""
    place = launched()
    return place is not None and place.rank > 0


def end_with_children(process: "subprocess.Popen[Any]") -> None:
    """End a program and all its children, the youngest first, and wait for it.

    Without this, DVC would leave its stage running.
    """
    if process.poll() is not None:
        return
    with contextlib.suppress(psutil.NoSuchProcess):
        for each in reversed(psutil.Process(process.pid).children(recursive=True)):
            with contextlib.suppress(psutil.NoSuchProcess):
                each.terminate()
    process.terminate()
    process.wait()


def die_with_parent(parent: int) -> None:
    """Ask the kernel to end this process when its parent ends (Linux; elsewhere no effect)."""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            os.kill(os.getpid(), signal.SIGTERM)
