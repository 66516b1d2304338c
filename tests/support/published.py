"""A made-up result as the stages leave it, with a dvc.lock that fits, ready to be published."""

import copy
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import yaml
from PIL import Image

from pipeline.compute.device import start_runtime
from pipeline.ground.files import md5_file, sha256_file, write_json, write_rows
from pipeline.ground.tables import read_table, write_table
from pipeline.model.bundle import VERSION, Bundle, Predictor, save_model
from pipeline.model.head import Head
from pipeline.model.network import Network
from pipeline.picture.net.backbones import build_backbone
from pipeline.picture.read.decode import decode
from pipeline.picture.read.spec import DecodeSpec
from pipeline.picture.shelf.normalization import Normalization
from pipeline.repo.lock import LOCK
from pipeline.track.main_result import MainResult, ResultFiles
from pipeline.track.params import TrackingParams
from pipeline.version.params import RegistryParams

FINGERPRINT = {"torch": "2", "device": "cpu", "cpu": "AVX2", "threads": 1, "precision": "fp32"}
TRACKING = TrackingParams(experiment="cells", required=True, live=True)
REGISTRY = RegistryParams(
    name="cells",
    metric="accuracy",
    promote="auto",
    from_experiments=False,
    verify_items=8,
    min_items=4,
    max_items=1000,
    confidence=0.95,
    bootstrap=500,
    seed=1,
    min_gain=0.0,
    max_class_drop=0.05,
    max_ece_rise=None,
    min_class_recall=None,
    max_ece=None,
    max_bytes=None,
    max_latency_ms=None,
)
HISTORY = (
    {"epoch": 1, "lr": 0.1, "train_loss": 0.75, "val_loss": 0.8},
    {"epoch": 2, "lr": 0.05, "train_loss": 0.5, "val_loss": 0.7},
    {"epoch": 3, "lr": 1e-05, "train_loss": 0.25, "val_loss": 0.6},
)
PARAMS = {
    "task": "classification",
    "data": {
        "path": "data/cells/raw",
        "labels": "data/cells/raw",
        "target": "label",
        "text": None,
        "encoding": None,
        "layout": "auto",
    },
    "weights": {"source": "none", "architecture": "test_vit", "sha256": None},
    "train": {"strategy": "head", "epochs": 3},
    "optim": {"lr": 0.00001},
    "evaluate": {"seed": 1, "ece_bins": 15},
    "runtime": {"seed": 1, "threads": 1},
    "tracking": TRACKING.model_dump(),
    "registry": REGISTRY.model_dump(),
}
RESULTS = ResultFiles(
    lock=Path(LOCK),
    raw=Path("data/cells/raw"),
    manifest=Path("artifacts/clean/manifest.parquet"),
    report=Path("artifacts/clean/report.json"),
    page=Path("artifacts/clean/report.html"),
    normalization=Path("artifacts/normalize/normalization.json"),
    record=Path("artifacts/weights/backbone.json"),
    model=Path("artifacts/train/model.safetensors"),
    bundle=Path("artifacts/train/bundle.json"),
    history=Path("artifacts/train/history.csv"),
    metrics=Path("artifacts/evaluate/metrics.json"),
    predictions=Path("artifacts/evaluate/predictions.parquet"),
    plots=(Path("artifacts/clean/plots"), Path("artifacts/evaluate/plots")),
    recipe=Path("artifacts/recipe/recipe.json"),
    candidates=Path("artifacts/recipe/candidates.csv"),
    kept=Path("artifacts/train/kept.json"),
)
GRAPH = {
    "clean": {
        "params": ["task", "data"],
        "deps": ["data/cells/raw"],
        "outs": [RESULTS.manifest, RESULTS.report, RESULTS.page],
    },
    "recipe": {"params": [], "deps": [], "outs": [RESULTS.recipe, RESULTS.candidates]},
    "transform": {"params": [], "deps": [], "outs": ["artifacts/transform/store.json"]},
    "normalize": {"params": [], "deps": [], "outs": [RESULTS.normalization]},
    "weights": {"params": ["weights"], "deps": [], "outs": [RESULTS.record]},
    "train": {
        "params": ["task", "data.target", "train", "optim", "runtime"],
        "deps": ["artifacts/transform/store.json", "train.py"],
        "outs": [RESULTS.model, RESULTS.bundle, RESULTS.history, RESULTS.kept],
    },
    "evaluate": {
        "params": ["evaluate", "runtime.threads"],
        "deps": [RESULTS.model, RESULTS.bundle, "evaluate.py"],
        "outs": [RESULTS.predictions, RESULTS.metrics, "artifacts/evaluate/plots/roc.csv"],
    },
    "publish": {"params": ["tracking", "registry"], "deps": [RESULTS.metrics], "outs": []},
}


class Project:
    """A working tree whose pipeline has run; its methods change it as a user or DVC would."""

    def __init__(self, folder):
        self.folder = folder
        self.params = copy.deepcopy(PARAMS)
        self.data_md5 = "d" * 32 + ".dir"
        self.metrics = {"accuracy": 0.875, "loss": 0.25, "n": 8, "per_class": {"a/b": {"f1": 0.5}}}
        self.bundle = {"task": "classification", "classes": ["a/b", "c"], "precision": "fp32"}
        self.fingerprint = FINGERPRINT
        self._write_files()

    def _write_files(self):
        (self.folder / "train.py").write_text("train = 1\n")
        (self.folder / "evaluate.py").write_text("evaluate = 1\n")
        self._file(RESULTS.report, "{}")
        self._file(RESULTS.page, "<!doctype html>")
        self._file(RESULTS.normalization, "{}")
        self._file("artifacts/transform/store.json", "store")
        self._file(RESULTS.candidates, "param,value\n")
        write_json(self.folder / RESULTS.recipe, {"choices": {"transform.resize": "center"}})
        kept = {"epochs": 3, "kept": {"epoch": 3, "share": 0.5}}
        write_json(self.folder / RESULTS.kept, kept)
        write_json(self.folder / RESULTS.record, {"source": "none", "sha256": "5" * 64})
        self._file("artifacts/evaluate/plots/roc.csv", "x,y\n0,0\n")
        self._file(RESULTS.model, "weights")
        write_rows(self.folder / RESULTS.history, HISTORY, columns=list(HISTORY[0]))
        self.predict(np.linspace(0.1, 0.9, 8))
        self.divide(test=read_table(self.folder / RESULTS.predictions)["id"])
        self.record()

    def _file(self, path, text):
        target = self.folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)

    def divide(self, *, test, train=()):
        """Write a manifest of which an item's part is all that matters here."""
        table = pd.DataFrame({"id": [*test, *train]})
        table = table.assign(split=["test"] * len(test) + ["train"] * len(train), group=None)
        write_table(self.folder / RESULTS.manifest, table.assign(status="kept"))

    def set_param(self, section, **values):
        """Change params and let the pipeline run."""
        self.params[section] |= values
        return self.record()

    def touch_code(self, name):
        """Change a code file without effect."""
        with (self.folder / f"{name}.py").open("a") as stream:
            stream.write("# touched\n")
        return self.record()

    def retrain(self, weights, *, shift=0.0, fingerprint=None):
        """Train to another model; every probability moves by `shift`."""
        self._file(RESULTS.model, weights)
        self.fingerprint = fingerprint or self.fingerprint
        self.predict(np.linspace(0.1, 0.9, 8) + shift)
        return self.record()

    def predict(self, p):
        """Write predictions of eight items whose first class has these probabilities."""
        names = [f"images/{number}.png" for number in range(len(p))]
        table = pd.DataFrame({"path": names, "id": [f"{n:064d}" for n in range(len(p))]})
        table = table.assign(split="test", label="c", predicted=np.where(p > 0.5, "a/b", "c"))
        table["confidence"] = np.maximum(p, 1 - p)
        table["p_a/b"], table["p_c"] = p, 1 - p
        write_table(self.folder / RESULTS.predictions, table)

    def record(self):
        """Write what DVC writes: params.yaml, dvc.yaml and a dvc.lock of a finished pipeline."""
        write_json(self.folder / RESULTS.metrics, self.metrics)
        bundle = self.bundle | {"fingerprint": self.fingerprint}
        write_json(self.folder / RESULTS.bundle, bundle)
        graph = {
            name: {kind: [str(each) for each in entries] for kind, entries in stage.items()}
            for name, stage in GRAPH.items()
        }
        self._file("params.yaml", yaml.safe_dump(self.params))
        self._file("dvc.yaml", yaml.safe_dump({"stages": graph}))
        self.lock = {"schema": "2.0", "stages": {n: self._entry(s) for n, s in graph.items()}}
        self._file(LOCK, yaml.safe_dump(self.lock))
        return self

    def _entry(self, stage):
        return {
            "cmd": "python",
            "deps": [self._hash(path) for path in stage["deps"]],
            "params": {"params.yaml": {name: self._value(name) for name in stage["params"]}},
            "outs": [self._hash(path) for path in stage["outs"]],
        }

    def _hash(self, path):
        is_data = path == self.params["data"]["path"]
        md5 = self.data_md5 if is_data else md5_file(self.folder / path)
        return {"path": path, "hash": "md5", "md5": md5, "size": 1}

    def _value(self, name):
        value = self.params
        for part in name.split("."):
            value = value[part]
        return value

    def gathered(self):
        """Gather the result, as `publish` does."""
        return MainResult(RESULTS)


def use_real_model(project, *, task="classification", items=8, seed=1, trained_on=None):
    """Put a tiny real model, raw pictures and its predictions of them into a project.

    The backbone has 0.1 million parameters of timm's own tests; the head is random. `trained_on` is
    what is else in its fingerprint.
    """
    bundle = small_bundle(task)
    bundle = replace(bundle, fingerprint=bundle.fingerprint | (trained_on or {}))
    save_model(project.folder / RESULTS.model, small_network(bundle, seed=seed), bundle)
    bundle.save(project.folder / RESULTS.bundle)
    project.bundle = json.loads((project.folder / RESULTS.bundle).read_text())
    project.fingerprint = bundle.fingerprint
    files = write_pictures(project.folder / RESULTS.raw, items)
    predictor = Predictor.load(project.folder / RESULTS.model, project.folder / RESULTS.bundle)
    table = predict_bytes(predictor, [path.read_bytes() for path in files])
    table = table.rename(columns={"label": "predicted"})
    table.insert(
        0, "path", [path.relative_to(project.folder / RESULTS.raw).as_posix() for path in files]
    )
    table.insert(1, "id", [sha256_file(path) for path in files])
    table.insert(2, "split", "test")
    table.insert(3, "label", "c" if task == "classification" else 0.5)
    project.divide(test=table["id"])
    write_table(project.folder / RESULTS.predictions, table)
    if task == "regression":
        project.metrics = {"mae": 0.125, "n": items}
    return project.record()


def small_bundle(task):
    """Give the description of a tiny model, under the fingerprint of this process."""
    runtime = start_runtime(torch.device("cpu"), precision="fp32", threads=1)
    is_classes = task == "classification"
    return Bundle(
        version=VERSION,
        modality="picture",
        task=task,
        classes=("a/b", "c") if is_classes else (),
        target="label",
        target_mean=0.0 if is_classes else 0.5,
        target_std=1.0 if is_classes else 0.25,
        architecture="test_efficientnet",
        pooling="mean+max",
        decode=DecodeSpec(48, "squash", "bilinear", (0, 0, 0)),
        normalization=Normalization("minmax", 1 / 255, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
        temperature=1.5,
        precision="fp32",
        batch_size=4,
        threads=1,
        fingerprint=runtime.fingerprint(),
        weights_sha256=None,
        input_size=(3, 160, 160),
        dropout=0.0,
        views=(0,),
    )


def small_network(bundle, *, seed):
    """Give a network with a random head."""
    backbone = build_backbone(bundle.architecture)
    head = Head(backbone.pooled_dim(bundle.pooling), bundle.num_outputs, dropout=0.0)
    with torch.no_grad():
        head.weight.normal_(generator=torch.Generator().manual_seed(seed))
    return Network(backbone, head, normalization=bundle.normalization, pooling=bundle.pooling)


def write_pictures(folder, count):
    """Write pictures of noise; gives their paths."""
    generator = np.random.default_rng(7)
    paths = [folder / "images" / f"{number}.png" for number in range(count)]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = generator.integers(0, 256, (60, 50, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path)
    return paths


def read_note(folder):
    """Read `.rootstock/published.json`."""
    return json.loads((folder / ".rootstock" / "published.json").read_text())


def predict_bytes(predictor, files):
    """Return the table of predictions of encoded pictures."""
    rows = [decode(file, predictor.bundle.decode) for file in files]
    return predictor.table(predictor.predict(np.stack(rows)))
