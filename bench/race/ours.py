"""Our recipes, by the pipeline's own functions: features, then training, from params.yaml.

The clock runs from the decoded pictures on, as for the peers: features of every row (of the test
split too, which training does not need), then training. Views, cut and recipe are params.
"""

import shutil
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bench.race.clock import Clock, Data, race_arguments
from pipeline.compute.device import open_runtime
from pipeline.compute.engine import MachineParams
from pipeline.ground.params import load_section, read_params
from pipeline.model.extraction import Extraction, extract
from pipeline.model.network import Trunk
from pipeline.model.params import FeaturesParams
from pipeline.picture.net.params import AugmentParams
from pipeline.picture.shelf.normalization import Normalization
from pipeline.store.store import Store
from pipeline.train.inputs import Rows, Sources, open_parts
from pipeline.train.loop import predict
from pipeline.train.trainer import Training, open_training
from pipeline.tune.search import PARAMS, build_plan
from pipeline.tune.space import with_values
from pipeline.weights.weights import load_backbone

HEAD: dict[str, Any] = {
    "features.cut": "none",
    "features.views": 1,
    "train.strategy": "head",
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
"""What the README names for `head`; `top` is params.yaml as it is."""


def main() -> None:
    """Compute features, train, and judge after each epoch."""
    parser = race_arguments(epochs=None)
    parser.add_argument("--artifacts", type=Path, default=Path("artifacts"))
    parser.add_argument("--recipe", choices=["head", "top"], required=True)
    parser.add_argument("--keep", type=Path, help="features, computed here where they are not yet")
    options = parser.parse_args()
    raw = with_values(read_params(PARAMS), HEAD if options.recipe == "head" else {})
    raw["runtime"]["seed"] = options.seed
    if options.epochs:
        raw["train"]["epochs"] = options.epochs
    data = Data(options.data, options.fraction)
    clock = Clock(data, options.out)
    scratch = Path(tempfile.mkdtemp(dir=options.data.parent))
    try:
        clock.start()
        since = time.perf_counter()
        features = options.keep or scratch / "features"
        if not features.exists():
            _features(raw, options.artifacts, features)
        spent = time.perf_counter() - since
        training = _training(raw, options.artifacts, features, data)
        for report in training.run(None):
            clock.judge(report.epoch, lambda rows: _predict(training, rows), features_seconds=spent)
        clock.finish()
    finally:
        shutil.rmtree(scratch)


def _features(raw: dict[str, Any], artifacts: Path, out: Path) -> None:
    _, runtime = build_plan(raw)
    backbone, _ = load_backbone(*_weights(artifacts), "picture")
    params = load_section(raw, "features", FeaturesParams, path=PARAMS)
    normalization = Normalization.load(artifacts / "normalize/normalization.json")
    trunk = Trunk(backbone, normalization=normalization, pooling=params.pooling)
    augment = load_section(raw, "augment", AugmentParams, path=PARAMS)
    store = Store.open(artifacts / "transform/store")
    work = Extraction(store, trunk, params, augment, open_runtime(runtime))
    extract(work, machine=MachineParams(workers=2, progress="none"), out=out)


def _training(raw: dict[str, Any], artifacts: Path, features: Path, data: Data) -> Training:
    plan, runtime = build_plan(raw)
    plan = replace(plan, recipe=_shorten(plan.recipe, len(data.rows["train"])))
    parts = open_parts(
        Sources(
            features,
            artifacts / "transform/store",
            artifacts / "normalize/normalization.json",
            *_weights(artifacts),
        )
    )
    rows = Rows(data.rows["train"], data.rows["val"])
    return open_training(plan, parts, open_runtime(runtime), rows=rows)


def _shorten(recipe: Any, items: int) -> Any:
    """Keep batches no larger than what there is to train on."""
    size = recipe.train.batch_size
    small = recipe.train.model_copy(update={"batch_size": min(size, items)})
    return replace(recipe, train=small)


def _predict(training: Training, rows: np.ndarray) -> Tensor:
    """Predict as the bundle would: with the mean over the cached views, if they are test views."""
    held = training.examples(training.split("held-out", rows))
    views = training.plan.recipe.train.test_views
    if views == 1:
        return predict(training.learner, held)
    outputs = [
        # an item's views take turns by the epoch, so as many epochs meet each view once
        predict(training.learner, replace(held, read=lambda at, _, e=epoch: held.read(at, e)))
        for epoch in range(1, views + 1)
    ]
    return torch.stack(outputs).mean(0)


def _weights(artifacts: Path) -> tuple[Path, Path]:
    return artifacts / "weights/backbone.safetensors", artifacts / "weights/backbone.json"


if __name__ == "__main__":
    main()
