"""AutoGluon's `MultiModalPredictor` with its own settings, offline, from the same weights.

It is left out, with the reason, where the package is missing or cannot start from weights in a
folder. It judges epochs by itself, so there is one line.
"""

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from bench.sets.clock import open_contest
from bench.sets.data import Items

LEFT_OUT = 3
"""The exit code that says so; the last line on stdout is the reason."""


def main() -> None:
    """Fit, and judge once."""
    options, items, clock = open_contest(epochs=0)
    try:
        from autogluon.multimodal import MultiModalPredictor
    except ImportError:
        print("the package autogluon.multimodal is not in this environment")
        sys.exit(LEFT_OUT)
    checkpoint = _checkpoint(items, options.data / "autogluon-weights")
    place = options.data / "autogluon"
    shutil.rmtree(place, ignore_errors=True)
    parts = {split: _table(items, split) for split in ("train", "val", "test")}
    settings = {
        "model.names": ["timm_image"],
        "model.timm_image.checkpoint_name": str(checkpoint),
        "env.num_gpus": 0,
    }
    if options.epochs:
        settings["optim.max_epochs"] = options.epochs
    clock.start()
    predictor = MultiModalPredictor(label="label", path=str(place), verbosity=1)
    try:
        predictor.fit(
            parts["train"], tuning_data=parts["val"], hyperparameters=settings, seed=options.seed
        )
    except (OSError, RuntimeError, ValueError, KeyError) as error:
        print(f"it does not train from these weights: {str(error).splitlines()[0]}")
        sys.exit(LEFT_OUT)

    def predict(split: str) -> Tensor:
        chances = predictor.predict_proba(parts[split].drop(columns="label"))
        return torch.from_numpy(np.log(np.maximum(chances[items.classes].to_numpy(), 1e-12)))

    clock.judge(1, predict)
    clock.finish()


def _table(items: Items, split: str) -> pd.DataFrame:
    rows = items.of(split)
    return pd.DataFrame(
        {
            "image": [str(items.raw / row["path"]) for row in rows],
            "label": [row["label"] for row in rows],
        }
    )


def _checkpoint(items: Items, folder: Path) -> Path:
    """Write the weights as a folder of the hub of timm, which it takes in place of a name."""
    folder.mkdir(exist_ok=True)
    torch.save(items.weights(), folder / "pytorch_model.bin")
    facts = {name: items.facts[name] for name in ("input_size", "mean", "std")}
    width = items.network().num_features
    config = {"architecture": items.facts["architecture"], "num_features": width}
    text = json.dumps({**config, "pretrained_cfg": facts})
    (folder / "config.json").write_text(text, encoding="utf-8")
    return folder


if __name__ == "__main__":
    main()
