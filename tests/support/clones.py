"""Two clones of one team in processes of their own, which act on one server in the same moment."""

import json
import os
import subprocess
import sys

from tests.support.closure import ROOT
from tests.support.project import ENVIRONMENT

_TIMEOUT_S = 300

_MEET = """
import json, sys, time
from pathlib import Path
from mlflow import MlflowClient

_marks, _own, _method = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
_real = getattr(MlflowClient, _method)

def _met(self, *args, **kwargs):
    "Wait, before the first call, until the other clone is as far."
    setattr(MlflowClient, _method, _real)
    (_marks / _own).touch()
    while len(list(_marks.iterdir())) < 2:
        time.sleep(0.02)
    return _real(self, *args, **kwargs)

setattr(MlflowClient, _method, _met)
"""


def at_once(folders, code, *, meet, uri, scratch):
    """Run code in two clones, each up to its first call of a method of MLflow's client, then on.

    Args:
        folders: The clones.
        code: Runs in each, with the number of the clone as `NUMBER`; prints JSON as its last line.
        meet: The method before which both wait for each other.
        uri: Of the server.
        scratch: An empty folder.

    Returns:
        What each printed last.
    """
    running = [
        subprocess.Popen(
            [
                sys.executable,
                "-c",
                f"{_MEET}\nNUMBER = {number}\n{code}",
                str(scratch),
                str(number),
                meet,
            ],
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=ENVIRONMENT
            | {
                "MLFLOW_TRACKING_URI": uri,
                "PYTHONPATH": str(ROOT),
                "ROOTSTOCK_FOLLOW": "0",
                "DVC_ROOT": os.fspath(folder),
            },
        )
        for number, folder in enumerate(folders)
    ]
    told = [process.communicate(timeout=_TIMEOUT_S) for process in running]
    for process, (out, err) in zip(running, told, strict=True):
        assert process.returncode == 0, f"{out}\n{err}"
    return [json.loads(out.splitlines()[-1]) for out, _ in told]
