"""Test cells, the versions that are served, and the loop that they are measured against."""

import os
import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.ground.files import md5_file
from pipeline.model.bundle import Bundle, Predictor
from pipeline.picture.read.decode import decode
from pipeline.track.connection import configure, connect, ensure_schema
from pipeline.version.package import Content, log_model
from pipeline.version.registry import MODEL
from pipeline.weights.tensors import load_tensors, save_tensors

NAME, ALIAS = "bench", "champion"
CELLS = 160
SECONDS = 30.0


@dataclass
class Cells:
    """Test cells, and what each version says of them."""

    files: list[bytes]
    columns: list[str]
    expected: dict[str, np.ndarray] = field(default_factory=dict)


def read_cells(raw: Path, predictions: Path, classes: list[str]) -> Cells:
    """Read the first test cells by their ids."""
    table = pd.read_parquet(predictions)
    table = table[table["split"] == "test"].sort_values("id").head(CELLS)
    columns = [f"p_{name}" for name in classes]
    files = [(raw / path).read_bytes() for path in table["path"]]
    return Cells(files, columns, {"1": table[columns].to_numpy()})


def scale_head(train: Path, folder: Path) -> Path:
    """Write a model with other answers."""
    folder.mkdir()
    tensors, facts = load_tensors(train / "model.safetensors")
    head = {
        name: 0.8 * each if name.startswith("head.") else each for name, each in tensors.items()
    }
    save_tensors(folder / "model.safetensors", head, facts)
    shutil.copy(train / "bundle.json", folder / "bundle.json")
    return folder


def predict(train: Path, cells: Cells) -> np.ndarray:
    """Return what a model says of the cells."""
    predictor = Predictor.load(train / "model.safetensors", train / "bundle.json")
    rows = np.stack([decode(file, predictor.bundle.decode) for file in cells.files])
    return predictor.table(predictor.predict(rows))[cells.columns].to_numpy()


def bare(train: Path, cells: Cells) -> None:
    """Decode and predict in a loop, at several batch sizes."""
    predictor = Predictor.load(train / "model.safetensors", train / "bundle.json")
    spec = Bundle.load(train / "bundle.json").decode
    speeds = {}
    for size in (1, 4, 8, 16):
        done, start = 0, time.perf_counter()
        while time.perf_counter() - start < SECONDS / 3:
            at = done % (len(cells.files) - size)
            images = np.stack([decode(each, spec) for each in cells.files[at : at + size]])
            predictor.predict(images, pad=False)
            done += size
        speeds[size] = done / (time.perf_counter() - start)
    told = ", ".join(f"{size}: {speed:.1f}" for size, speed in speeds.items())
    print(f"bare loop, pictures/s by batch size: {told}; {load()}", flush=True)


def load() -> str:
    """Return how many programs wanted the cores in the last minute."""
    return f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"


def registry(folder: Path, *models: Path) -> None:
    """Make a registry with these versions, the first one with the alias."""
    configure()
    ensure_schema(f"sqlite:///{folder / 'mlflow.db'}")
    tracking = connect(NAME)
    client = tracking.client
    client.create_registered_model(NAME)
    for model in models:
        run = client.create_run(tracking.experiment_id).info.run_id
        md5 = md5_file(model / "model.safetensors")
        content = Content(model / "model.safetensors", model / "bundle.json", md5)
        logged = log_model(tracking, content, name=NAME, run_id=run)
        client.create_model_version(
            NAME, f"models:/{logged}", run, model_id=logged, tags={MODEL: md5}
        )
    client.set_registered_model_alias(NAME, ALIAS, "1")
