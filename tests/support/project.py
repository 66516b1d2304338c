"""A clone of this repository with a small part of the real data set, and ways to run it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import yaml

from data.elpv.fetch import PACKAGE
from pipeline.ground.processes import QUIET
from tests.support.closure import ROOT
from tests.support.prepared import empty_database, finished_cache

ENVIRONMENT = {
    key: value
    for key, value in os.environ.items()
    if not key.startswith(("MLFLOW_", "DVC_", "GIT_", "ROOTSTOCK_", "PYTEST_", "COV_"))
} | {
    **QUIET,
    "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
    "GIT_AUTHOR_NAME": "a",
    "GIT_AUTHOR_EMAIL": "a@example.org",
    "GIT_COMMITTER_NAME": "a",
    "GIT_COMMITTER_EMAIL": "a@example.org",
    "GIT_CONFIG_GLOBAL": os.devnull,
}

FINISHED = 60
"""Pictures of the small project that one test makes for all."""

TOP = {"strategy": "top", "start": "zero", "batch_norm": "batch", "test_views": 8}
"""What the small project trains: nothing is left to the data, so that no number hangs on it."""

_LEFT = ("artifacts/", "audit/", "tests/", "docs/", "bench/")


def run(folder, *command, code=0, env=None):
    """Run a command in a clone; fail with its whole output where the exit code is another."""
    done = subprocess.run(
        command,
        cwd=folder,
        env=ENVIRONMENT | (env or {}),
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )
    assert done.returncode == code, f"{command} -> {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


def clone(folder, *, top=None):
    """Copy what git tracks, as it is in the working tree, into a new repository.

    With `top`, a folder above, that is the repository, and the project lies in it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    listed = run(ROOT, "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    for name in filter(None, listed.stdout.split("\0")):
        if name.startswith(_LEFT) or name == "dvc.lock":
            continue
        if (ROOT / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name, follow_symlinks=False)
    run(top or folder, "git", "init", "--quiet", "--initial-branch", "main")
    return folder


def add_small_data(folder, *, items, name="small"):
    """Put every k-th picture of the demonstration set under data/<name>/raw, tracked by DVC."""
    source = package_data()
    labels = pd.read_csv(
        source / "labels.csv", sep=r"\s+", names=["path", "probability", "module_type"]
    )
    labels = labels.iloc[:: len(labels) // items].head(items)
    raw = folder / "data" / name / "raw"
    (raw / "images").mkdir(parents=True)
    for path in labels["path"]:
        shutil.copy(source / path, raw / path)
    labels["label"] = (labels["probability"] > 0.5).map({True: "defective", False: "functional"})
    labels["weight"] = 1.0
    labels.to_csv(raw / "labels.csv", index=False)
    run(folder, "dvc", "add", "--quiet", f"data/{name}/raw")
    set_params(folder, data={"path": f"data/{name}/raw", "labels": f"data/{name}/raw"})
    return raw


def package_data():
    """Give the folder of the installed demonstration package."""
    import importlib.metadata

    distribution = importlib.metadata.distribution(PACKAGE)
    return Path(str(distribution.locate_file("elpv_dataset"))) / "data"


def set_params(folder, **sections):
    """Change values in params.yaml; comments are lost, as they may be in a test."""
    path = folder / "params.yaml"
    params = yaml.safe_load(path.read_text(encoding="utf-8"))
    for name, values in sections.items():
        if isinstance(values, dict):
            params[name].update(values)
        else:
            params[name] = values
    path.write_text(yaml.safe_dump(params, sort_keys=False), encoding="utf-8")


def commit(folder, message):
    """Commit everything."""
    run(folder, "git", "add", "--all")
    run(folder, "git", "commit", "--quiet", "--message", message)


def small_project(folder, *, items=FINISHED, top=None, fresh=False):
    """Make a clone with small data and short training, committed; `top` as for `clone`.

    It has an empty MLflow database. With `FINISHED` items it also has the run cache of a finished
    project: its first `dvc repro` computes nothing but `publish`. With `fresh` it has neither.
    """
    clone(folder, top=top)
    add_small_data(folder, items=items)
    set_params(
        folder,
        train={**TOP, "epochs": 3, "batch_size": 16},
        optim={"lr": 0.001},
        features={"cut": -4, "views": 8},
        evaluate={"bootstrap": 50},
        transform={"size_px": 64, "shard_rows": 32, "resize": "squash"},
        augment={"hflip": 0.5, "vflip": 0.5, "transpose": 0.5},
        runtime={"threads": 1},
        machine={"workers": 1, "progress": "none"},
        registry={"verify_items": 16},
    )
    commit(folder, "a small project")
    if not fresh:
        shutil.copy(empty_database(), folder / "mlflow.db")
    if not fresh and items == FINISHED:
        shutil.copytree(finished_cache(_finish), folder / ".dvc" / "cache", dirs_exist_ok=True)
    return folder


def _finish(folder):
    small_project(folder, fresh=True)
    run(folder, "dvc", "repro", "--quiet", "evaluate")
