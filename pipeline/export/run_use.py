"""Run `use.py` as a user of the file would: in a new process that cannot import Rootstock."""

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.ground.errors import IntegrityError
from pipeline.model.bundle import Bundle, Values

FORBIDDEN = ("pipeline", "stages", "mlflow")
"""Packages that nobody needs who uses an exported file."""

_TIMEOUT_S = 3600

GUARD = """
import runpy, sys
forbidden, script = sys.argv[1].split(","), sys.argv[2]
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in forbidden:
            raise ModuleNotFoundError(f"{name} is imported, which an export must not need")
sys.meta_path.insert(0, Refuse())
sys.argv = sys.argv[2:]
runpy.run_path(script, run_name="__main__")
"""


def run_use(
    script: Path, items: Sequence[Path], bundle: Bundle, *, forbidden: Iterable[str]
) -> Values:
    """Return what an exported model says of files: float64 [N, K], or [N, 1].

    Args:
        script: The `use.py`, beside its model.
        items: Their paths.
        bundle: The model's.
        forbidden: Packages that cannot be imported, besides `FORBIDDEN`.

    Raises:
        IntegrityError: The model does not load or predict there.
    """
    names = ",".join((*FORBIDDEN, *forbidden))
    command = [sys.executable, "-I", "-c", GUARD, names, str(script.resolve())]
    try:
        done = subprocess.run(
            [*command, *(str(each.resolve()) for each in items)],
            cwd=items[0].parent,
            env={**os.environ, "HF_HUB_OFFLINE": "1"},
            capture_output=True,
            text=True,
            check=False,
            timeout=_TIMEOUT_S,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired as error:
        raise IntegrityError(script.name, f"did not answer within {_TIMEOUT_S} s") from error
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise IntegrityError(
            script.name, f"does not load and predict in a fresh process: {lines[-1]}"
        )
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    if len(rows) != len(items):
        raise IntegrityError(
            script.name, f"must give a line for each of {len(items)} items", got=len(rows)
        )
    errors = [row["error"] for row in rows if "error" in row]
    if errors:
        raise IntegrityError(script.name, f"refuses an item that the model reads: {errors[0]}")
    return np.array([_numbers(row, bundle) for row in rows], dtype=np.float64)


def _numbers(row: dict[str, Any], bundle: Bundle) -> list[float]:
    if bundle.task == "regression":
        return [row["value"]]
    return [row["probabilities"][name] for name in bundle.classes]
