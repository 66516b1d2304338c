"""What a training needs to go on where it was killed, bit for bit.

A checkpoint is two files, both written whole or not at all: `epoch-<n>.safetensors` with the
model, the optimizer's state and the best model so far, and beside it, written last,
`epoch-<n>.json` with the reports of all epochs and the SHA-256 of both. There is no random state to
keep: the loop derives it from the epoch's number. The schedule follows from it too.

Checkpoints are no DVC outputs. Their folder is named by the training's key, so that other data,
params or code start anew; the last two are kept, and a damaged one gives way to the one before.
When all outputs of the training are written, the folder is removed: a training that is finished and
then forced to run again must do it all again, not resume at its end.
"""

import dataclasses
import logging
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from pipeline.ground.errors import IntegrityError, PipelineError
from pipeline.ground.files import read_json, sha256_file, sha256_json, write_json
from pipeline.train.best_epoch import Best
from pipeline.train.loop import EpochReport
from pipeline.train.step import Learner
from pipeline.weights.tensors import load_tensors, save_tensors

log = logging.getLogger(__name__)

_VERSION = 1
_KEPT = 2


class Checkpoints:
    """The checkpoints of one training.

    Args:
        folder: For this training alone; made when the first one is saved.
        identity: What must be equal to go on, besides the folder: the numeric fingerprint and the
            number of parts, but not of ranks. JSON.
    """

    def __init__(self, folder: Path, identity: Mapping[str, Any]) -> None:
        self.folder = folder
        self._identity = dict(identity)

    def save(self, learner: Learner, best: Best, reports: list[EpochReport]) -> None:
        """Save the state after the last epoch in `reports`, and remove all but the last two.

        Only the first rank does.
        """
        if not learner.ranks.is_first:
            return
        epoch = reports[-1].epoch
        tensors_path, state_path = self._paths(epoch)
        save_tensors(tensors_path, _pack(learner, best), {"epoch": epoch})
        state = {
            "identity": self._identity,
            "best": {"epoch": best.epoch, "value": best.value},
            "reports": [dataclasses.asdict(report) for report in reports],
        }
        record = {
            "version": _VERSION,
            "tensors_sha256": sha256_file(tensors_path),
            "state_sha256": sha256_json(state),
            "state": state,
        }
        write_json(state_path, record)
        for old in self._epochs()[_KEPT:]:
            self._remove(old)

    def resume(self, learner: Learner, best: Best) -> list[EpochReport]:
        """Bring `learner` and `best` to the last good checkpoint.

        A damaged one is told in a warning and removed. Where there is none, nothing changes. The
        first rank reads it, and sends it to the others.

        Returns:
            The reports of all epochs that are done; empty where there is no checkpoint.
        """
        found = learner.ranks.share(self._last)
        if found is None:
            return []
        tensors, state = found
        _unpack(tensors, learner, best)
        best.epoch, best.value = state["best"]["epoch"], state["best"]["value"]
        return [EpochReport(**report) for report in state["reports"]]

    def _last(self) -> tuple[dict[str, Tensor], Any] | None:
        """Return the last good checkpoint; None without one of this identity."""
        for epoch in self._epochs():
            try:
                tensors, state = self._read(epoch)
            except PipelineError as error:
                log.warning("a checkpoint is damaged, so the one before is taken: %s", error)
                self._remove(epoch)
                continue
            if state["identity"] == self._identity:
                return tensors, state
            log.warning(
                "%s: the checkpoints come from another device, thread count or torch build; "
                "training starts from the beginning",
                self.folder,
            )
            self.clear()
            return None
        return None

    def clear(self) -> None:
        """Remove all checkpoints of this training."""
        if self.folder.exists():
            shutil.rmtree(self.folder)

    def _epochs(self) -> list[int]:
        """Return the epochs that have a checkpoint, latest first."""
        names = [path.stem.removeprefix("epoch-") for path in self.folder.glob("epoch-*.json")]
        return sorted((int(name) for name in names if name.isdecimal()), reverse=True)

    def _paths(self, epoch: int) -> tuple[Path, Path]:
        stem = self.folder / f"epoch-{epoch:06d}"
        return stem.with_suffix(".safetensors"), stem.with_suffix(".json")

    def _read(self, epoch: int) -> tuple[dict[str, Tensor], Any]:
        tensors_path, state_path = self._paths(epoch)
        record = read_json(state_path)
        if not isinstance(record, dict) or record.get("version") != _VERSION:
            raise IntegrityError(state_path, f"must have version {_VERSION}")
        if sha256_json(record.get("state")) != record.get("state_sha256"):
            raise IntegrityError(state_path, "differs from its SHA-256")
        if not tensors_path.exists():
            raise IntegrityError(tensors_path, "no such file")
        if sha256_file(tensors_path) != record.get("tensors_sha256"):
            raise IntegrityError(tensors_path, "differs from its SHA-256")
        return load_tensors(tensors_path)[0], record["state"]

    def _remove(self, epoch: int) -> None:
        tensors_path, state_path = self._paths(epoch)
        state_path.unlink(missing_ok=True)
        tensors_path.unlink(missing_ok=True)


def _pack(learner: Learner, best: Best) -> dict[str, Tensor]:
    """Return all tensors of a training under flat names."""
    tensors = {f"model/{name}": each for name, each in learner.model.state_dict().items()}
    tensors |= {f"best/{name}": each for name, each in best.state.items()}
    if learner.average is not None:
        state = learner.average.model.state_dict()
        tensors |= {f"average/{name}": each for name, each in state.items()}
    for number, slots in learner.optimizer.state_dict()["state"].items():
        for name, each in slots.items():
            if isinstance(each, Tensor):  # SGD without momentum keeps None
                tensors[f"optimizer/{number}/{name}"] = each
    return tensors


def _unpack(tensors: Mapping[str, Tensor], learner: Learner, best: Best) -> None:
    model = _under("model/", tensors)
    learner.model.load_state_dict(model)
    if learner.average is not None:
        learner.average.model.load_state_dict(_under("average/", tensors))
    best.state = _under("best/", tensors)
    slots: dict[int, dict[str, Tensor]] = {}
    for path, each in _under("optimizer/", tensors).items():
        number, name = path.split("/", 1)
        slots.setdefault(int(number), {})[name] = each
    _load_optimizer(learner.optimizer, slots)


def _load_optimizer(optimizer: Optimizer, slots: Mapping[int, Mapping[str, Tensor]]) -> None:
    """Set an optimizer's state; its tensors get the strides of their parameters.

    Files hold tensors row by row. Where a parameter is stored otherwise (channels last),
    elementwise kernels take another path for unlike strides, and might round another way.
    """
    parameters = [each for group in optimizer.param_groups for each in group["params"]]
    for number, stored in slots.items():
        parameter = parameters[number]
        optimizer.state[parameter] = {
            name: each if name == "step" else torch.empty_like(parameter).copy_(each)
            for name, each in stored.items()
        }


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {
        name.removeprefix(prefix): each for name, each in tensors.items() if name.startswith(prefix)
    }
