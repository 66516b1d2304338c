"""Keys that name a result by what went into it, read from DVC's own files.

A run in MLflow is a projection of versioned artifacts. These keys tie the two: whatever was cached,
pulled, deleted or rebuilt, equal inputs give equal keys, and one key has one run.

    dvc.train   deps (path -> md5) and params of the `train` stage; known before it starts
    dvc.key     dvc.train, and the params and code of `evaluate`; no stage's outs enter it
    dvc.data    md5 of the raw folder
    dvc.model   md5 of model.safetensors, which holds the weights and the digest of the bundle
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.ground.errors import ParamsError
from pipeline.ground.files import md5_file, sha256_json
from pipeline.ground.params import read_params
from pipeline.repo.imports import IMPORTS, folder_md5
from pipeline.repo.lock import GRAPH, LOCK, PARAMS, REPRO, Lock, mapping

LAST = "evaluate"
"""The last stage whose outs are versioned."""

_MODEL = "model.safetensors"
_METRICS = "metrics.json"


@dataclass(frozen=True)
class RunKeys:
    """What identifies one result."""

    train: str
    key: str
    data: str
    model: str
    params: str
    """sha256 of the params of every stage but `publish`."""

    metrics: str
    """md5 of metrics.json."""


class Recorded:
    """The result that a dvc.lock records.

    Attributes:
        stages: Those that `evaluate` needs, itself last; each after what it reads.

    Raises:
        ParamsError: A stage has not run.
    """

    def __init__(self, lock: Lock) -> None:
        self.lock = lock
        self.keys = run_keys(lock)
        self.stages = lock.leading_to(LAST)
        self.data_path = data_path(lock)

    @property
    def params(self) -> dict[str, Any]:
        """The params of every stage but `publish`, by the names that dvc.yaml lists."""
        params: dict[str, Any] = {}
        for stage in self.stages:
            params |= self.lock.params(stage)
        return params

    def inputs(self, stage: str) -> dict[str, str]:
        """Return path -> md5 of what a stage read that no stage of these wrote: data and code."""
        made = {path for each in self.stages for path in self.lock.outs(each)}
        return {path: md5 for path, md5 in self.lock.deps(stage).items() if path not in made}

    def code(self) -> dict[str, str]:
        """Return path -> md5 of all single files that the stages read and none wrote."""
        return {
            path: md5
            for stage in self.stages
            for path, md5 in self.inputs(stage).items()
            if not md5.endswith(".dir") and path != self.data_path
        }

    def links(self) -> dict[str, str]:
        """Return path -> md5 of the folders of links by which the stages read their code."""
        found = {path: md5 for stage in self.stages for path, md5 in self.inputs(stage).items()}
        return {path: md5 for path, md5 in found.items() if path.startswith(f"{IMPORTS}/")}


def train_key(root: Path) -> str:
    """Return `dvc.train` of the training that is about to start; see `stage_key`."""
    return stage_key(root, "train", graph=GRAPH)


def stage_key(root: Path, stage: str, *, graph: str) -> str:
    """Return the key of a stage that is about to start in a working tree.

    DVC writes a stage's own entry into dvc.lock when the stage has ended, so deps that other
    stages wrote are taken from their entries, code from its bytes, and params from params.yaml.
    Once the stage has ended, `run_keys` gives the same key.

    Args:
        root: The folder that holds dvc.yaml, dvc.lock and params.yaml; in a stage, `Path()`.
        stage: Its name.
        graph: The dvc.yaml that has it, relative to the root; its paths are too (`wdir`).

    Raises:
        ParamsError: dvc.yaml, dvc.lock or params.yaml lacks what is needed.
    """
    stages = mapping(read_params(root / graph), "stages", str(root / graph))
    entry = mapping(stages, stage, str(root / graph))
    outs = Lock.read(root / LOCK).all_outs()
    deps = {str(path): _md5(root, str(path), outs) for path in entry.get("deps") or []}
    raw = read_params(root / PARAMS)
    params = {
        str(name): _value(raw, str(name), root / PARAMS) for name in entry.get("params") or []
    }
    return deps_key(deps, params)


def run_keys(lock: Lock) -> RunKeys:
    """Return the keys of the result that a dvc.lock records.

    Raises:
        ParamsError: A stage has not run.
    """
    train = deps_key(lock.deps("train"), lock.params("train"))
    made = lock.all_outs()
    code = {path: md5 for path, md5 in lock.deps(LAST).items() if path not in made}
    key = sha256_json({"train": train, "deps": code, "params": lock.params(LAST)})
    return RunKeys(
        train=train,
        key=key,
        data=_data_md5(lock),
        model=lock.out("train", _MODEL),
        params=sha256_json(lock.all_params(without="publish")),
        metrics=lock.out(LAST, _METRICS),
    )


def deps_key(deps: dict[str, str], params: dict[str, Any]) -> str:
    """Return the key of a stage by what it reads: path -> md5, and params."""
    return sha256_json({"deps": deps, "params": params})


def data_path(lock: Lock) -> str:
    """Return the raw folder that `clean` read."""
    params = lock.params("clean")
    return str(params.get("data.path") or mapping(params, "data", lock.where).get("path"))


def _data_md5(lock: Lock) -> str:
    path, deps = data_path(lock), lock.deps("clean")
    if path not in deps:
        raise ParamsError(
            lock.where, "must be a dep of `clean`", field="data.path", got=path, remedy=REPRO
        )
    return deps[path]


def _md5(root: Path, path: str, outs: dict[str, str]) -> str:
    if path in outs:
        return outs[path]
    if path.startswith(f"{IMPORTS}/") and (md5 := folder_md5(root / path)):
        return md5
    if not (root / path).is_file():
        raise ParamsError(root / LOCK, "no stage has written this dep", got=path, remedy=REPRO)
    return md5_file(root / path)


def _value(raw: dict[str, Any], name: str, where: Path) -> Any:
    value: Any = raw
    for part in name.split("."):
        if not isinstance(value, dict) or part not in value:
            raise ParamsError(where, f"the key {name!r} is missing")
        value = value[part]
    return value
