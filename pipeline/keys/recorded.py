"""What a dvc.lock recorded of one result, stage by stage, in the order in which they run."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pipeline.ground.errors import IntegrityError, ParamsError
from pipeline.ground.params import parse_params
from pipeline.keys.lock import Lock, RunKeys, run_keys
from pipeline.repo.imports import IMPORTS

AUDIT = Path("audit")
"""The committed folder of decisions, at the repository's root; see `promotion/decisions.py`."""

LAST = "evaluate"
"""The last stage whose outs are versioned."""


class Recorded:
    """A dvc.lock of a finished pipeline, and where it was read.

    Args:
        text: Of dvc.lock.
        where: The file (and commit, or run) as people would name it.

    Raises:
        ParamsError: It is damaged, unfinished, or has the markers of an unresolved merge.
    """

    def __init__(self, text: str, where: str) -> None:
        stages = parse_params(text, where).get("stages")
        if not isinstance(stages, dict):
            raise ParamsError(where, "has no entry 'stages'", remedy="run `dvc repro`")
        self.text = text
        self.where = where
        self.lock = Lock(stages, where)
        self.keys: RunKeys = run_keys(self.lock)
        self.stages = self._order([str(name) for name in stages])
        """Those that `evaluate` needs, itself last; each after what it reads."""

    @classmethod
    def read(cls, path: Path) -> "Recorded":
        """Read the file of a working tree.

        Raises:
            ParamsError: It is missing, or as for the class.
        """
        try:
            return cls(path.read_text(encoding="utf-8"), str(path))
        except FileNotFoundError as error:
            raise ParamsError(path, "no such file", remedy="run `dvc repro`") from error
        except UnicodeDecodeError as error:
            raise ParamsError(path, "is not UTF-8", remedy="restore it from git") from error

    @property
    def params(self) -> dict[str, Any]:
        """The params of every stage but `publish`, by the names that dvc.yaml lists."""
        params: dict[str, Any] = {}
        for stage in self.stages:
            params |= self.lock.params(stage)
        return params

    @property
    def data_path(self) -> str:
        """The raw folder."""
        clean = self.lock.params("clean")
        data = clean.get("data")
        path = data.get("path") if isinstance(data, Mapping) else clean.get("data.path")
        return str(path)

    def inputs(self, stage: str) -> dict[str, str]:
        """Return path -> md5 of what a stage read that no stage of these wrote: data and code."""
        made = self._made()
        return {path: md5 for path, md5 in self.lock.deps(stage).items() if path not in made}

    def code(self) -> dict[str, str]:
        """Return path -> md5 of all single files that the stages read and none wrote."""
        files: dict[str, str] = {}
        for stage in self.stages:
            files |= self.inputs(stage)
        return {
            path: md5
            for path, md5 in files.items()
            if not md5.endswith(".dir") and path != self.data_path
        }

    def links(self) -> dict[str, str]:
        """Return path -> md5 of the folders of links by which the stages read their code."""
        found = {path: md5 for stage in self.stages for path, md5 in self.inputs(stage).items()}
        return {path: md5 for path, md5 in found.items() if path.startswith(f"{IMPORTS}/")}

    def _made(self) -> set[str]:
        return {path for stage in self.stages for path in self.lock.outs(stage)}

    def _order(self, names: list[str]) -> tuple[str, ...]:
        maker = {path: name for name in names for path in self.lock.outs(name)}
        if LAST not in names:
            raise ParamsError(self.where, f"has no entry {LAST!r}", remedy="run `dvc repro`")
        order: list[str] = []
        for name in self._above(LAST, maker, ()):
            if name not in order:
                order.append(name)
        return tuple(order)

    def _above(self, name: str, maker: Mapping[str, str], path: tuple[str, ...]) -> Iterator[str]:
        """Yield a stage after all those that it needs; some more than once."""
        if name in path:
            raise IntegrityError(self.where, "its stages need one another", got=name)
        for dep in self.lock.deps(name):
            if dep in maker:
                yield from self._above(maker[dep], maker, (*path, name))
        yield name
