"""What DVC recorded of stages: deps, params and outs, as of their last run; the reader of dvc.lock.

The names of DVC's files, and of ours that stand beside them, are here too.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pipeline.ground.errors import IntegrityError, ParamsError
from pipeline.ground.params import parse_params, read_params

GRAPH = "dvc.yaml"
LOCK = "dvc.lock"
PARAMS = "params.yaml"

AUDIT = Path("audit")
"""The committed folder of decisions, at the repository's root; see `promotion/decisions.py`."""

REPRO = "run `dvc repro`"


class Lock:
    """What dvc.lock recorded of each stage.

    Args:
        content: The file, parsed.
        where: The file (and commit, or run) as it is named in errors.

    Raises:
        ParamsError: It has no stages.
    """

    def __init__(self, content: dict[str, Any], where: str) -> None:
        self._stages = mapping(content, "stages", where)
        self.where = where

    @classmethod
    def read(cls, path: Path) -> "Lock":
        """Read dvc.lock.

        Raises:
            ParamsError: It is missing, damaged, or has the markers of an unresolved merge.
        """
        if not path.exists():
            raise ParamsError(path, "no such file", remedy=REPRO)
        return cls(read_params(path), str(path))

    @classmethod
    def parse(cls, text: str, where: str) -> "Lock":
        """Read the text of a dvc.lock.

        Raises:
            ParamsError: As for `read`.
        """
        return cls(parse_params(text, where), where)

    @property
    def stages(self) -> tuple[str, ...]:
        """Names of the stages that have run, in the order of the file."""
        return tuple(map(str, self._stages))

    def command(self, stage: str) -> str:
        """Return the command that a stage was run with; empty where it has not run."""
        return str(self._entry(stage).get("cmd", "")) if stage in self._stages else ""

    def deps(self, stage: str) -> dict[str, str]:
        """Return path -> md5 of what a stage read."""
        return self._files(stage, "deps")

    def outs(self, stage: str) -> dict[str, str]:
        """Return path -> md5 of what a stage wrote."""
        return self._files(stage, "outs")

    def all_outs(self) -> dict[str, str]:
        """Return path -> md5 of what all stages wrote."""
        return {path: md5 for stage in self._stages for path, md5 in self.outs(stage).items()}

    def params(self, stage: str) -> dict[str, Any]:
        """Return the params of a stage, by the names under which dvc.yaml lists them."""
        files = self._entry(stage).get("params") or {}
        if not isinstance(files, dict) or set(files) - {PARAMS}:
            raise ParamsError(
                self.where, f"only {PARAMS} may be read", field=f"{stage}.params", got=files
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
                self.where, f"must record one {name}", field=f"{stage}.outs", remedy=REPRO
            )
        return found[0]

    def leading_to(self, last: str) -> tuple[str, ...]:
        """Return the stages that one needs, itself last; each after what it reads.

        Raises:
            ParamsError: It has not run.
            IntegrityError: Stages need one another.
        """
        self._entry(last)
        maker = {path: name for name in self._stages for path in self.outs(name)}
        return tuple(dict.fromkeys(self._above(last, maker, ())))

    def _above(self, name: str, maker: Mapping[str, str], path: tuple[str, ...]) -> Iterator[str]:
        """Yield a stage after all those that it needs; some more than once."""
        if name in path:
            raise IntegrityError(self.where, "its stages need one another", got=name)
        for dep in self.deps(name):
            if dep in maker:
                yield from self._above(maker[dep], maker, (*path, name))
        yield name

    def _entry(self, stage: str) -> dict[str, Any]:
        return mapping(self._stages, stage, self.where)

    def _files(self, stage: str, kind: str) -> dict[str, str]:
        files: dict[str, str] = {}
        for file in self._entry(stage).get(kind) or []:
            if not isinstance(file, dict) or "path" not in file or "md5" not in file:
                raise ParamsError(
                    self.where,
                    "must have path and md5",
                    field=f"{stage}.{kind}",
                    got=file,
                    remedy=REPRO,
                )
            files[str(file["path"])] = str(file["md5"])
        return files


def mapping(parent: Mapping[str, Any], name: str, where: str) -> dict[str, Any]:
    """Return an entry that holds others.

    Raises:
        ParamsError: There is none.
    """
    value = parent.get(name)
    if not isinstance(value, dict):
        raise ParamsError(where, f"has no entry {name!r}", remedy=REPRO)
    return value
