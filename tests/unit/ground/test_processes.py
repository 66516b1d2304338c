"""What programs that we start are told by their environment."""

import os
import subprocess
import sys

import pytest

from pipeline.ground.processes import sharing_cores
from tests.support.closure import ROOT

_PROGRAMS = {
    "a stage": ["-m", "stages.features", "--help"],
    "the command": ["-c", "from pipeline.cli import main; main(['doctor']); import torch"],
}


@pytest.mark.parametrize("program", _PROGRAMS.values(), ids=_PROGRAMS)
def test_torchs_threads_are_told_to_sleep_soon_before_torch_is_there(program, tmp_path):
    """GNU OpenMP prints what it has read when it is loaded."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", *program],
        cwd=tmp_path,
        env=os.environ | {"OMP_DISPLAY_ENV": "verbose", "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert "GOMP_SPINCOUNT = '1000'" in done.stdout, done.stdout


@pytest.mark.parametrize("name", ["OMP_WAIT_POLICY", "GOMP_SPINCOUNT"])
def test_what_the_user_says_of_waiting_threads_stays(monkeypatch, name):
    monkeypatch.delenv("GOMP_SPINCOUNT", raising=False)
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    assert sharing_cores() == {"GOMP_SPINCOUNT": "1000"}
    monkeypatch.setenv(name, "x")
    assert sharing_cores() == {}
