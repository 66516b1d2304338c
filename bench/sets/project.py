"""A scratch project: params.yaml with other values, and the stages of dvc.yaml without DVC.

The stages run in this process, one after the other, as the graph has them.
"""

import os
import re
import shlex
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import chdir
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import yaml

from pipeline.ground.params import read_params
from pipeline.ground.stage import run_stage
from pipeline.tune.space import with_values

HOME = Path(__file__).resolve().parents[2]
"""The repository."""

RAW = "raw"

OWN = {"data.path": RAW, "data.labels": RAW, "tracking.live": False}

Run = Callable[[], None]


class Project:
    """A folder in which stages run as they do in the repository.

    Args:
        folder: It; what is there stays.
        raw: The folder of raw files, which gets a link in the project: `RAW`.
        values: Of params.yaml, by `section.key`, in place of the repository's.
    """

    def __init__(self, folder: Path, raw: Path, values: Mapping[str, Any]) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        (folder / RAW).symlink_to(raw)
        self.params = with_values(read_params(HOME / "params.yaml"), {**OWN, **values})
        text = yaml.safe_dump(self.params, sort_keys=False)
        (folder / "params.yaml").write_text(text, encoding="utf-8")
        shutil.copyfile(HOME / "dvc.yaml", folder / "dvc.yaml")
        self._stages: dict[str, Any] = read_params(HOME / "dvc.yaml")["stages"]
        self._stand_in_for_dvc()

    def before(self, last: str) -> list[str]:
        """Return the stages that one needs, itself last; each after what it reads."""
        return list(dict.fromkeys(self._above(last)))

    def ready(self, stage: str) -> Run:
        """Import a stage with all that it reads of our code, and return what runs it.

        The folders that it writes to are made, as DVC makes them.

        Raises:
            RuntimeError: When run: it ended with another exit code than 0.
        """
        for link in sorted((HOME / "imports" / stage).iterdir()):
            if link.suffix not in (".html", ".css"):
                import_module(link.name)
        for out in _paths(self._stages[stage], "outs"):
            (self.folder / out).parent.mkdir(parents=True, exist_ok=True)
        return partial(self._run, import_module(f"stages.{stage}").main, self._options(stage))

    def _run(self, main: Callable[..., None], options: list[str]) -> None:
        with chdir(self.folder):
            code = run_stage(main, options, settled="--recipe" in options)
        if code:
            raise RuntimeError(f"{main.__module__} ended with exit code {code}")

    def _above(self, stage: str) -> Iterator[str]:
        makers = {out: name for name in self._stages for out in _paths(self._stages[name], "outs")}
        for dep in _paths(self._stages[stage], "deps"):
            if dep in makers:
                yield from self._above(makers[dep])
        yield stage

    def _options(self, stage: str) -> list[str]:
        command = re.sub(r"\$\{(\w+)\.(\w+)\}", self._value, self._stages[stage]["cmd"])
        return shlex.split(command)[3:]  # after `python -m stages.<name>`

    def _value(self, found: re.Match[str]) -> str:
        return str(self.params[found[1]][found[2]])

    def _stand_in_for_dvc(self) -> None:
        """Give `train` what it names its journal by: digests of what other stages wrote.

        One project has one training, so they may be anything.
        """
        locked = {
            name: {
                "cmd": "",
                "outs": [
                    {"path": path, "md5": "0" * 32} for path in _paths(self._stages[name], "outs")
                ],
            }
            for name in self._stages
        }
        text = yaml.safe_dump({"schema": "2.0", "stages": locked})
        (self.folder / "dvc.lock").write_text(text, encoding="utf-8")
        for name in ("imports", "review", "weights"):
            if not (self.folder / name).exists():
                (self.folder / name).symlink_to(HOME / name)
        os.environ["ROOTSTOCK_FOLLOW"] = "0"  # nothing is tracked


def _paths(stage: Mapping[str, Any], kind: str) -> list[str]:
    return [each if isinstance(each, str) else next(iter(each)) for each in stage.get(kind) or []]
