"""The stages `clean` and `transform`, run as DVC runs them, in a folder of their own."""

import logging
import os
from contextlib import contextmanager
from pathlib import Path

import yaml

from pipeline.ground.files import write_json
from pipeline.ground.params import read_params
from pipeline.ground.stage import run_stage
from stages import clean, transform
from tests.support.closure import ROOT
from tests.support.project import run


@contextmanager
def _entered(folder):
    """Work in a folder, and give the log back as it was."""
    root = logging.getLogger()
    before, handlers, level = Path.cwd(), root.handlers[:], root.level
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)
        root.handlers[:] = handlers
        root.setLevel(level)


def write_params(folder, **sections):
    """Write the committed params with changes, for the folder `raw` beside them."""
    params = read_params(ROOT / "params.yaml")
    changes = {
        "data": {"path": "raw", "labels": "raw"},
        "clean": {"max_bad_frac": 1.0},
        "transform": {"size_px": 16, "shard_rows": 16},
        "machine": {"workers": 1, "progress": "none"},
    }
    for given in (changes, sections):
        for name, values in given.items():
            params[name] = params[name] | values if isinstance(values, dict) else values
    (folder / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")


def run_clean(folder, *, labels="raw", **sections):
    """Run `clean` on folder/raw; give its exit code. Its outputs lie in folder/out."""
    write_params(folder, **sections)
    options = {
        "raw": "raw",
        "labels": labels,
        "review": "review",
        "manifest": "out/manifest.parquet",
        "report": "out/report.json",
        "near-duplicates": "out/near_duplicates.parquet",
        "plots": "out/plots",
        "page": "out/report.html",
        "probes": "out/probes.parquet",
        "key": "out/clean-key.json",
    }
    with _entered(folder):
        return run_stage(clean.main, [f"--{name}={value}" for name, value in options.items()])


def run_transform(folder):
    """Run `transform` after `clean`; give its exit code. The store is folder/out/store."""
    write_json(folder / "out/recipe.json", {"choices": {"transform.resize": "squash"}})
    with _entered(folder):
        return run_stage(
            transform.main,
            [
                "--raw=raw",
                "--manifest=out/manifest.parquet",
                "--store=out/store",
                "--key=out/transform-key.json",
                "--recipe=out/recipe.json",
            ],
            settled=True,
        )


def remember(folder):
    """Let DVC keep what both stages made, as `dvc repro` does; the next run builds on it."""
    outs = {
        "clean": ["out/probes.parquet", "out/clean-key.json"],
        "transform": ["out/store", "out/transform-key.json"],
    }
    stages = {name: {"cmd": "true", "outs": paths} for name, paths in outs.items()}
    (folder / "dvc.yaml").write_text(yaml.safe_dump({"stages": stages}))
    if not (folder / ".dvc").exists():
        run(folder, "dvc", "init", "--quiet", "--no-scm")
    run(folder, "dvc", "commit", "--quiet", "--force")
