"""Keys that name a result by what went into it, read from DVC's own files.

A run in MLflow is a projection of versioned artifacts. These keys tie the two: whatever was cached,
pulled, deleted or rebuilt, equal inputs give equal keys, and one key has one run.

    dvc.train   deps (path -> md5) and params of the `train` stage; known before it starts
    dvc.key     dvc.train, and the params and code of `evaluate`; no stage's outs enter it
    dvc.data    md5 of the raw folder
    dvc.model   md5 of model.safetensors
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.ground.errors import ParamsError
from pipeline.ground.files import md5_file, sha256_json
from pipeline.ground.params import parse_params, read_params
from pipeline.repo.imports import IMPORTS, folder_md5

GRAPH = "dvc.yaml"
LOCK = "dvc.lock"
PARAMS = "params.yaml"

_MODEL = "model.safetensors"
_METRICS = "metrics.json"
_REPRO = "run `dvc repro`"


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


class Lock:
    """What dvc.lock recorded of each stage: deps, params and outs, as of its last run.

    Args:
        stages: The mapping under `stages` in dvc.lock.
        where: The file (and commit) as it is named in errors.
    """

    def __init__(self, stages: dict[str, Any], where: str) -> None:
        self._stages = stages
        self._where = where

    @classmethod
    def read(cls, path: Path) -> "Lock":
        """Read dvc.lock.

        Raises:
            ParamsError: It is missing, damaged, or has the markers of an unresolved merge.
        """
        if not path.exists():
            raise ParamsError(path, "no such file", remedy=_REPRO)
        return cls(_mapping(read_params(path), "stages", str(path)), str(path))

    @classmethod
    def parse(cls, text: str, where: str) -> "Lock":
        """Read the text of a dvc.lock.

        Raises:
            ParamsError: As for `read`.
        """
        return cls(_mapping(parse_params(text, where), "stages", where), where)

    def deps(self, stage: str) -> dict[str, str]:
        """Return path -> md5 of what a stage read."""
        return self._files(stage, "deps")

    def outs(self, stage: str) -> dict[str, str]:
        """Return path -> md5 of what a stage wrote."""
        return self._files(stage, "outs")

    def all_outs(self) -> dict[str, str]:
        """Return path -> md5 of what all stages wrote."""
        outs: dict[str, str] = {}
        for stage in self._stages:
            outs |= self._files(stage, "outs")
        return outs

    def params(self, stage: str) -> dict[str, Any]:
        """Return the params of a stage, by the names under which dvc.yaml lists them."""
        files = self._entry(stage).get("params") or {}
        if not isinstance(files, dict) or set(files) - {PARAMS}:
            raise ParamsError(
                self._where, f"only {PARAMS} may be read", field=f"{stage}.params", got=files
            )
        return dict(files.get(PARAMS) or {})

    def all_params(self, *, without: str) -> dict[str, Any]:
        """Return the params of all stages but one."""
        params: dict[str, Any] = {}
        for stage in self._stages:
            if stage != without:
                params |= self.params(stage)
        return params

    def out(self, stage: str, name: str) -> str:
        """Return the md5 of the one out of a stage that has this file name."""
        found = [md5 for path, md5 in self.outs(stage).items() if Path(path).name == name]
        if len(found) != 1:
            raise ParamsError(
                self._where, f"must record one {name}", field=f"{stage}.outs", remedy=_REPRO
            )
        return found[0]

    def _entry(self, stage: str) -> dict[str, Any]:
        return _mapping(self._stages, stage, self._where)

    def _files(self, stage: str, kind: str) -> dict[str, str]:
        files: dict[str, str] = {}
        for file in self._entry(stage).get(kind) or []:
            if not isinstance(file, dict) or "path" not in file or "md5" not in file:
                raise ParamsError(
                    self._where,
                    "must have path and md5",
                    field=f"{stage}.{kind}",
                    got=file,
                    remedy=_REPRO,
                )
            files[str(file["path"])] = str(file["md5"])
        return files


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
    stages = _mapping(read_params(root / graph), "stages", str(root / graph))
    entry = _mapping(stages, stage, str(root / graph))
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
    code = {path: md5 for path, md5 in lock.deps("evaluate").items() if path not in made}
    key = sha256_json({"train": train, "deps": code, "params": lock.params("evaluate")})
    return RunKeys(
        train=train,
        key=key,
        data=_data_md5(lock),
        model=lock.out("train", _MODEL),
        params=sha256_json(lock.all_params(without="publish")),
        metrics=lock.out("evaluate", _METRICS),
    )


def deps_key(deps: dict[str, str], params: dict[str, Any]) -> str:
    """Return the key of a stage by what it reads: path -> md5, and params."""
    return sha256_json({"deps": deps, "params": params})


def _data_md5(lock: Lock) -> str:
    params = lock.params("clean")
    path = params.get("data.path") or _mapping(params, "data", LOCK).get("path")
    deps = lock.deps("clean")
    if path not in deps:
        raise ParamsError(
            LOCK, "must be a dep of `clean`", field="data.path", got=path, remedy=_REPRO
        )
    return deps[path]


def _md5(root: Path, path: str, outs: dict[str, str]) -> str:
    if path in outs:
        return outs[path]
    if path.startswith(f"{IMPORTS}/") and (md5 := folder_md5(root / path)):
        return md5
    if not (root / path).is_file():
        raise ParamsError(root / LOCK, "no stage has written this dep", got=path, remedy=_REPRO)
    return md5_file(root / path)


def _value(raw: dict[str, Any], name: str, where: Path) -> Any:
    value: Any = raw
    for part in name.split("."):
        if not isinstance(value, dict) or part not in value:
            raise ParamsError(where, f"the key {name!r} is missing")
        value = value[part]
    return value


def _mapping(parent: dict[str, Any], name: str, where: str) -> dict[str, Any]:
    value = parent.get(name)
    if not isinstance(value, dict):
        raise ParamsError(where, f"has no entry {name!r}", remedy=_REPRO)
    return value
