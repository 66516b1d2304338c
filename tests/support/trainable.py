"""Everything that training reads, made small: 32 px pictures, a backbone of 0.1 million parameters.

Pictures of class `bright` are brighter than those of class `dark`; for regression the label is the
brightness, 0..200.
"""

import numpy as np
import pandas as pd
import torch
from PIL import Image

from pipeline.compute.device import start_runtime
from pipeline.compute.engine import MachineParams
from pipeline.ground.files import sha256_file, write_json
from pipeline.model.extraction import Extraction, extract, write_empty
from pipeline.model.network import Trunk
from pipeline.model.params import FeaturesParams
from pipeline.picture.net.params import AugmentParams
from pipeline.picture.shelf.normalization import Normalization
from pipeline.picture.shelf.params import TransformParams
from pipeline.store.store import Store
from pipeline.store.writer import write_store
from pipeline.train.inputs import Sources
from pipeline.train.params import TrainParams
from pipeline.train.plan import Plan, Recipe
from pipeline.train.recipe.params import LossParams, OptimParams, ScheduleParams
from pipeline.weights.params import WeightsParams
from pipeline.weights.weights import fetch_weights, load_backbone, save_backbone
from tests.support.encoding import encoding

QUIET = MachineParams.alone(workers=1, progress="none")
SPLITS = ("train", "train", "train", "val", "test")
OFF = {
    "start": "zero",
    "parts": 1,
    "unfreeze_epochs": 0,
    "ema": 0.0,
    "mixup": 0.0,
    "cutmix": 0.0,
    "test_views": 1,
}
"""Every part of a recipe that `train` can do without."""

SECTIONS = {
    "train": {
        **OFF,
        "strategy": "head",
        "epochs": 6,
        "batch_size": 8,
        "dropout": 0.1,
        "batch_norm": "stored",
        "monitor": "loss",
        "patience": 0,
        "privacy": None,
    },
    "optim": {
        "name": "adamw",
        "lr": 0.01,
        "momentum": 0.9,
        "nesterov": True,
        "beta1": 0.9,
        "beta2": 0.999,
        "weight_decay": 0.01,
        "clip_norm": 0.0,
        "layer_decay": 1.0,
    },
    "schedule": {"name": "cosine", "warmup_frac": 0.1, "final_frac": 0.01},
    "loss": {
        "name": "cross_entropy",
        "label_smoothing": 0.0,
        "class_weights": "none",
        "sample_weights": True,
    },
    "augment": {
        "hflip": 0.5,
        "vflip": 0.5,
        "transpose": 0.5,
        "crop_min_frac": 0.8,
        "brightness": 0.1,
        "contrast": 0.1,
    },
    "runtime": {"seed": 1, "threads": 1, "device": "cpu", "precision": "fp32", "compile": False},
}


def cpu():
    """Give a one-thread runtime in single precision."""
    return start_runtime(torch.device("cpu"), precision="fp32", threads=1)


def plan(*, task="classification", seed=1, **changes) -> Plan:
    """Give a plan; changes are by section, such as `train={"epochs": 2}`."""
    loss = {"name": "mse"} if task == "regression" else {}
    sections = {name: {**values, **changes.get(name, {})} for name, values in SECTIONS.items()}
    recipe = Recipe(
        TrainParams.model_validate(sections["train"]),
        OptimParams.model_validate(sections["optim"]),
        ScheduleParams.model_validate(sections["schedule"]),
        seed,
    )
    return Plan(
        task,
        "label",
        recipe,
        LossParams.model_validate(SECTIONS["loss"] | loss | changes.get("loss", {})),
        AugmentParams.model_validate(sections["augment"]),
    )


def make_rows(raw, *, items, labels=None, splits=None) -> pd.DataFrame:
    """Write pictures under `raw`; give the kept rows of a manifest that tell of them."""
    generator = np.random.default_rng(0)
    raw.mkdir(parents=True)
    rows = []
    for number in range(items):
        level = int(generator.integers(100, 200) if number % 2 else generator.integers(0, 90))
        noise = generator.integers(0, 50, (40, 40, 3))
        path = raw / f"{number:03d}.png"
        Image.fromarray((noise + level).astype(np.uint8)).save(path)
        rows.append(
            {
                "path": path.name,
                "id": sha256_file(path),
                "group": None,
                "weight": 1.0,
                "label": labels(number, level) if labels else ("bright" if number % 2 else "dark"),
                "split": (splits or SPLITS)[(number // 2) % len(splits or SPLITS)],
            }
        )
    return pd.DataFrame(rows)


def make_sources(
    folder, *, items=60, pooled=True, cut="none", views=1, change=None, **options
) -> Sources:
    """Run what comes before training, in process; `change` may alter the rows before."""
    sources = Sources(
        *(
            folder / name
            for name in (
                "features",
                "store",
                "normalization.json",
                "backbone.safetensors",
                "record.json",
            )
        )
    )
    rows = make_rows(folder / "raw", items=items, **options)
    if change:
        rows = change(rows)
    transform = TransformParams(
        size_px=32,
        resize="squash",
        interpolation="bilinear",
        background=(0, 0, 0),
        white16=65535,
        shard_rows=25,
    )
    write_store(sources.store, rows, encoding(transform), raw=folder / "raw", machine=QUIET)
    normalization = Normalization("minmax", 1 / 255, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    write_json(sources.normalization, normalization.to_dict())
    weights = WeightsParams(source="none", architecture="test_efficientnet", sha256=None, key=None)
    state, record = fetch_weights(weights, folder, resolve_model=None)
    save_backbone(sources.backbone, sources.record, state=state, facts=record)
    features = FeaturesParams(
        pooled=pooled, cut=cut, views=views, pooling="mean+max", batch_size=16, seed=1
    )
    augment = AugmentParams.model_validate(SECTIONS["augment"])
    if not features.is_empty:
        backbone, _ = load_backbone(sources.backbone, sources.record, "picture")
        trunk = Trunk(backbone, normalization=normalization, pooling="mean+max")
        work = Extraction(Store.open(sources.store), trunk, features, augment, cpu())
        extract(work, machine=QUIET, out=sources.features)
    else:
        write_empty(features, out=sources.features)
    return sources
