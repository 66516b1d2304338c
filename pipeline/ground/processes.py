"""Programs that this one starts: their environment, and how all of them end."""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
from typing import Any

import psutil

_PR_SET_PDEATHSIG = 1

QUIET = {"DVC_NO_ANALYTICS": "true", "MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
"""Environment: nothing that we start reports home."""


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
