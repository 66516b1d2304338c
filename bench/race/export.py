"""Write the pictures, splits and weights of this clone's artifacts as plain files for all."""

import hashlib
import json
from pathlib import Path

import numpy as np
from safetensors.torch import save_file

from pipeline.ground.files import read_json, replacing_folder
from pipeline.manifest.manifest import class_names
from pipeline.picture.shelf.normalization import Normalization
from pipeline.store.store import Store
from pipeline.weights.tensors import load_tensors


def export(artifacts: Path, out: Path) -> None:
    """Write `images.npy`, `labels.npy`, `backbone.safetensors` and `facts.json`."""
    store = Store.open(artifacts / "transform/store")
    normalization = Normalization.load(artifacts / "normalize/normalization.json")
    classes = class_names(store.index["label"])
    labels = store.index["label"].map({name: at for at, name in enumerate(classes)}).to_numpy()
    splits = {name: store.rows(name).tolist() for name in ("train", "val", "test")}
    ids = store.index["id"].to_numpy()
    order = sorted(splits["train"], key=lambda row: hashlib.sha256(ids[row].encode()).digest())
    state, _ = load_tensors(artifacts / "weights/backbone.safetensors")
    facts = {
        "architecture": read_json(artifacts / "weights/backbone.json")["architecture"],
        "scale": normalization.scale,
        "mean": list(normalization.mean),
        "std": list(normalization.std),
        "classes": list(classes),
        "splits": splits,
        "train_order": order,
    }
    with replacing_folder(out) as folder:
        size = store.spec.size_px
        images = np.lib.format.open_memmap(
            folder / "images.npy", mode="w+", dtype=np.uint8, shape=(len(store), 3, size, size)
        )
        for start in range(0, len(store), 256):
            rows = np.arange(start, min(start + 256, len(store)))
            images[rows] = store.read(rows)
        images.flush()
        np.save(folder / "labels.npy", labels.astype(np.int64))
        save_file(state, folder / "backbone.safetensors")
        (folder / "facts.json").write_text(json.dumps(facts), encoding="utf-8")
