"""Manifests made by hand, row by row."""

import pandas as pd

from pipeline.diff.diff import Snapshot
from pipeline.manifest.manifest import typed_manifest, validate

SETTINGS = {
    "task": "classification",
    "data": {
        "path": "data/small/raw",
        "labels": "data/small/raw",
        "target": "label",
        "layout": "auto",
    },
    "split": {"seed": 1, "train": 0.6, "val": 0.15, "test": 0.25},
}


def row(path, content, label="cat", split="train", **others):
    """Give a kept row; a reason makes it another one."""
    reason = others.pop("reason", None)
    is_dropped = reason in ("duplicate", "review")
    status = "kept" if reason is None else "dropped" if is_dropped else "quarantined"
    usual = {
        "path": path,
        "id": content if content is None else content * 64,
        "label": label,
        "split": split if reason is None else None,
        "group": None,
        "weight": 1.0,
        "status": status,
        "reason": reason,
        "width": 10,
        "height": 10,
        "mode": "RGB",
        "format": "PNG",
    }
    return usual | others


def manifest(*rows):
    """Give a valid manifest of rows."""
    table = typed_manifest(pd.DataFrame(list(rows)))
    validate(table)
    return table


def snapshot(*rows, originals=None, **settings):
    """Give a snapshot with the usual params but for `settings`, by section."""
    return Snapshot("HEAD", "c" * 40, manifest(*rows), SETTINGS | settings, originals or {})
