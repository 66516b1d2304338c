"""Tests of what a user may not read, where the tests run as root, who reads everything."""

import ctypes
import subprocess
import sys
from pathlib import Path

from tests.support.closure import ROOT

_PR_CAPBSET_DROP = 24
_CAP_DAC_OVERRIDE, _CAP_DAC_READ_SEARCH = 1, 2


def runs_elsewhere(request):
    """Run the test that asks in a process that is bound by the modes of files, where this is not.

    Give True where that was done, and there is nothing left to do.
    """
    if not _reads_everything():
        return False
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", request.node.nodeid],
        cwd=ROOT,
        preexec_fn=_give_up_powers,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout
    return True


def _reads_everything():
    status = Path("/proc/self/status")
    if not status.exists():
        return False
    powers = next(line for line in status.read_text().splitlines() if line.startswith("CapEff:"))
    return bool(int(powers.split()[1], 16) & (1 << _CAP_DAC_OVERRIDE | 1 << _CAP_DAC_READ_SEARCH))


def _give_up_powers():
    libc = ctypes.CDLL(None, use_errno=True)
    for power in (_CAP_DAC_OVERRIDE, _CAP_DAC_READ_SEARCH):
        if libc.prctl(_PR_CAPBSET_DROP, power, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "cannot give up the powers of root")
