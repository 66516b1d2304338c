"""Registered versions whose answers a test chooses, with runs and raw files that are real.

What a version predicts is looked up in a table; that a real version predicts in a process of its
own, tests/pipeline/test_served.py shows.
"""

import tempfile
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.ground.files import write_json
from pipeline.ground.tables import write_table
from pipeline.promotion.contest import Arena
from pipeline.version.registry import VERIFIED, create_version
from tests.support.published import REGISTRY

CLASSES = ("bad", "good")


class Ring:
    """A registry, raw files, and labels: item k is `bad` where k is a multiple of four."""

    def __init__(self, folder, tracking, *, items=80):
        raw = folder / "data/cells/raw"
        raw.mkdir(parents=True)
        self.paths = [f"{number:03d}.png" for number in range(items)]
        for path in self.paths:
            (raw / path).write_bytes(path.encode())
        self.ids = [sha256(path.encode()).hexdigest() for path in self.paths]
        self.truth = np.array([0 if number % 4 == 0 else 1 for number in range(items)])
        self.tracking = tracking
        self.rows = {}
        self.asked = []
        self.arena = Arena(tracking, REGISTRY, raw, 15)

    def with_rules(self, **values):
        """Change what must hold."""
        self.arena = replace(self.arena, params=REGISTRY.model_copy(update=values))

    def enter(
        self,
        model,
        wrong,
        *,
        classes=CLASSES,
        trained=(),
        groups=None,
        key=None,
        keeps=("bundle", "predictions", "splits"),
    ):
        """Register a version that is wrong on these items, and was trained on those ids."""
        bad, good = (classes.index(name) if name in classes else 0 for name in CLASSES)
        said = np.where(np.isin(np.arange(len(self.paths)), wrong), 1 - self.truth, self.truth)
        chances = np.full((len(self.paths), len(classes)), 0.1)
        chances[np.arange(len(self.paths)), np.where(said == 0, bad, good)] = 0.9
        table = pd.DataFrame(chances, columns=[f"p_{name}" for name in classes])
        run = self.tracking.client.create_run(self.tracking.experiment_id)
        self._log(run.info.run_id, table, classes, trained, groups or {}, keeps)
        logged = self.tracking.client.create_logged_model(self.tracking.experiment_id)
        tags = {"dvc.model": model, "dvc.key": key or f"key-{model}", VERIFIED: "8 items"}
        version = create_version(
            self.tracking, "cells", model_id=logged.model_id, run_id=run.info.run_id, tags=tags
        )
        self.rows[f"models:/cells/{version.version}"] = table.assign(error=None).to_dict("records")
        return version

    def _log(self, run_id, chances, classes, trained, groups, keeps):
        table = pd.DataFrame({"path": self.paths, "id": self.ids, "split": "test"})
        table["label"] = [CLASSES[number] for number in self.truth]
        splits = pd.DataFrame({"id": [*self.ids, *trained]})
        splits["split"] = ["test"] * len(self.ids) + ["train"] * len(trained)
        splits["group"] = splits["id"].map(groups).astype("object")
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            if "bundle" in keeps:
                bundle = {"task": "classification", "target": "label", "classes": list(classes)}
                write_json(folder / "bundle.json", bundle)
            if "predictions" in keeps:
                write_table(folder / "predictions.parquet", pd.concat([table, chances], axis=1))
            if "splits" in keeps:
                write_table(folder / "splits.parquet", splits)
            self.tracking.client.log_artifacts(run_id, scratch, "results")

    def answer(self, uri, paths, environment, folder, *, alone=0):
        """Stand in for `verify.ask`."""
        assert environment["MLFLOW_TRACKING_URI"] == self.tracking.uri
        assert not list(folder.iterdir())
        self.asked.append(uri)
        numbers = [int(Path(path).read_bytes()[:3]) for path in paths]
        rows = [self.rows[uri][number] for number in numbers]
        return {"rows": rows, "bytes": 1000, "latency_ms": 8.0 if alone else None}
