"""What computes: device, precision, threads, memory, and the installed packages."""

import importlib.metadata
import re
import sys
from collections.abc import Generator, Iterator
from pathlib import Path

import psutil
from packaging.requirements import InvalidRequirement, Requirement

from pipeline.compute.device import check_ranks_here, open_runtime
from pipeline.compute.engine import MachineParams
from pipeline.compute.params import RuntimeParams
from pipeline.ground.errors import MachineError
from pipeline.ground.findings import Finding, ok, warn
from pipeline.train.params import TrainParams

_FEW_BYTES = 2 * 2**30
_CGROUP = Path("/sys/fs/cgroup")
_PYTHONS = ((3, 11), (3, 13))
_LOCK = Path("requirements.lock")

_WATCHED = (
    "dvc",
    "mlflow",
    "numpy",
    "pandas",
    "pillow",
    "pyarrow",
    "pydantic",
    "safetensors",
    "scikit-learn",
    "timm",
    "tokenizers",
    "torch",
    "torchvision",
)
"""Packages whose version decides formats, bytes or numbers."""


def check_device(
    runtime: RuntimeParams, train: TrainParams, machine: MachineParams
) -> Generator[Finding, None, None]:
    """Open the device as the stages will.

    Raises:
        MachineError: The device, the precision or a compiler that is asked for is not there.
        ParamsError: There are fewer GPUs than processes that are to train.
    """
    opened = open_runtime(runtime)
    chosen = f"{opened.device.type}, {opened.precision}"
    cores = machine.model_copy(update={"workers": "auto"}).count_workers()
    yield ok("runtime", f"{chosen}, {opened.threads} threads on {cores} cores")
    if opened.threads > cores:
        yield warn(
            "params.yaml",
            f"runtime.threads: {opened.threads} threads wait for each other on {cores} cores",
            f"set it to {cores}, before results count",
        )
    here = machine.ranks if machine.engine == "local" else 1  # else they are in the cluster
    check_ranks_here(opened.device, here)
    if opened.device.type == "cpu" and here > 1 and here * opened.threads > cores:
        yield warn(
            "params.yaml",
            f"machine.ranks: {here} processes of {opened.threads} threads share {cores} cores",
            "lower it, or runtime.threads before results count",
        )
    if machine.count_workers() > 2 * cores:
        yield warn(
            "params.yaml",
            f"machine.workers: {machine.workers} processes share {cores} cores",
            "set it to auto",
        )
    if opened.device.type == "cpu":
        yield from _slow(opened.precision, runtime, train)
    free = _free_memory()
    if free < _FEW_BYTES:
        yield warn(
            "memory",
            f"{free / 2**30:.1f} GiB are free",
            "close other programs, or lower machine.workers and the batch sizes",
        )
    else:
        yield ok("memory", f"{free / 2**30:.1f} GiB are free")


def _slow(precision: str, runtime: RuntimeParams, train: TrainParams) -> Iterator[Finding]:
    auto = runtime.model_copy(update={"precision": "auto"})
    if precision == "bf16" and open_runtime(auto).precision == "fp32":
        yield warn(
            "params.yaml",
            "runtime.precision: this processor does not compute in bf16, and imitates it slowly",
            "set it to auto",
        )
    open_runtime(runtime)
    if train.strategy == "full":
        yield warn(
            "params.yaml",
            "train.strategy: full trains every layer, on a CPU some three times as long as top",
            "set it to top, or use a GPU",
        )


def _free_memory() -> int:
    """Return the bytes that a new process can have, in a container too."""
    free = int(psutil.virtual_memory().available)
    try:
        limit, used = (
            (_CGROUP / f"memory.{name}").read_text().strip() for name in ("max", "current")
        )
        return free if limit == "max" else min(free, max(0, int(limit) - int(used)))
    except (OSError, ValueError):
        return free


def check_packages() -> Generator[Finding, None, None]:
    """Compare Python and the packages that matter with what `requirements.lock` names.

    Raises:
        MachineError: The project does not run on this Python.
    """
    python = sys.version_info[:2]
    if not _PYTHONS[0] <= python <= _PYTHONS[1]:
        raise MachineError(
            "python",
            "must be 3.11, 3.12 or 3.13",
            got=".".join(map(str, python)),
            remedy="install one, and run `make clean-venv install`",
        )
    locked = dict(_locked(_LOCK.read_text(encoding="utf-8")))
    different = []
    for name in _WATCHED:
        found, wanted = _installed(name), locked.get(name)
        if wanted and found.split("+")[0] != wanted:
            different.append(f"{name} {found} in place of {wanted}")
    if different:
        yield warn(
            _LOCK,
            f"other versions are installed: {', '.join(different)}; results may differ",
            "run `make install`",
        )
        return
    version = ".".join(map(str, sys.version_info[:3]))
    yield ok(_LOCK, f"Python {version}, and {len(_WATCHED)} packages in the versions it names")


def _installed(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "none"


def _locked(text: str) -> Iterator[tuple[str, str]]:
    """Yield name and version of each line of a lock file that counts for this Python."""
    for line in re.findall(r"^[A-Za-z0-9][^\\\n]*", text, re.MULTILINE):
        try:
            requirement = Requirement(line.strip())
        except InvalidRequirement:
            continue
        if requirement.marker is None or requirement.marker.evaluate():
            yield requirement.name.lower(), str(requirement.specifier).removeprefix("==")
