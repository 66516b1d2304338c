"""Our pipeline, by params.yaml or with `train.strategy: head`, from raw files to the trained model.

The stages run as `dvc repro` has them, in one process, without DVC and tracking. `clean` and
`weights` have run: what they give, all contestants get. The clock has `train` with its own
validation in it, and stands while the bundle predicts val and test as it would when it is served.
"""

import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bench.sets.clock import open_contest
from bench.sets.data import Items
from bench.sets.prepare import values
from bench.sets.project import Project
from pipeline.model.bundle import Predictor
from pipeline.store.store import Store

READY = ("clean", "weights")

HEAD: dict[str, Any] = {
    "features.cut": "none",
    "features.views": 1,
    "train.strategy": "head",
    "train.start": "zero",
    "train.epochs": 40,
    "train.batch_size": 64,
    "train.batch_norm": "stored",
    "train.ema": 0.0,
    "train.patience": 15,
    "train.test_views": 1,
    "optim.lr": 0.01,
    "optim.weight_decay": 0.0002,
    "loss.label_smoothing": 0.0,
}
"""What docs/recipes.md names for `head`."""

_LEAST = 1e-12
"""Of a probability, before its logarithm is taken."""


def main() -> None:
    """Run every stage up to `train`, and judge once."""
    options, items, clock = open_contest(epochs=0)
    wanted = values(options.seed) | (HEAD if options.strategy == "head" else {})
    if options.epochs:
        wanted["train.epochs"] = options.epochs
    scratch = Path(tempfile.mkdtemp(dir=options.data)).resolve()
    try:
        project = Project(scratch, items.raw, wanted)
        for name in READY:
            made = Path("artifacts") / name
            shutil.copytree(options.data / "project" / made, scratch / made)
        runs = [project.ready(name) for name in project.before("train") if name not in READY]
        clock.start()
        for run in runs:
            run()
        clock.judge(1, _Served(scratch / "artifacts", items).answer)
        clock.finish()
    finally:
        shutil.rmtree(scratch)


class _Served:
    """What the trained bundle predicts, in the order of items.csv."""

    def __init__(self, made: Path, items: Items) -> None:
        self._items = items
        self._store = Store.open(made / "transform/store")
        self._rows = {path: row for row, path in enumerate(self._store.index["path"])}
        train = made / "train"
        self._predictor = Predictor.load(train / "model.safetensors", train / "bundle.json")
        if list(self._predictor.bundle.classes) != items.classes:
            raise RuntimeError("the bundle must have the classes of all contestants")

    def answer(self, split: str) -> Tensor:
        rows = np.array([self._rows[row["path"]] for row in self._items.of(split)])
        chances = self._predictor.predict(self._store.read(rows))
        return torch.from_numpy(np.log(np.maximum(chances, _LEAST)))


if __name__ == "__main__":
    main()
