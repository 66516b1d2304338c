"""A version that older code registered, before its files were moved: it is used as any other."""

import io
import json
import shutil
import subprocess
import sys
import tarfile

import pandas as pd
import pytest

from pipeline.ground.files import read_json
from pipeline.ground.tables import read_table
from tests.support.closure import ROOT
from tests.support.project import add_small_data, clone, commit, run, set_params
from tests.support.serving import serving

OLDER = "1e12be9"
"""The last commit with `pipeline/data/` and `pipeline/track/registry.py`."""

RAW = "data/small/raw"
LEFT = ("artifacts", "audit", "tests", "docs", "bench", "dvc.lock")
CODE = (
    "pipeline",
    "stages",
    "crossval",
    "suspects",
    "explain",
    "privacy",
    "dvc.yaml",
    "params.yaml",
)


def choose_params(folder, **optim):
    set_params(
        folder,
        data={"path": RAW, "labels": RAW},
        features={"cut": "none", "views": 1},
        train={
            "strategy": "head",
            "start": "zero",
            "epochs": 3,
            "batch_size": 8,
            "batch_norm": "stored",
            "test_views": 1,
        },
        optim=optim,
        evaluate={"bootstrap": 50},
        transform={"size_px": 64, "shard_rows": 32, "resize": "squash"},
        augment={"hflip": 0.5, "vflip": 0.5, "transpose": 0.5},
        runtime={"threads": 1},
        machine={"workers": 1, "progress": "none"},
        registry={"name": "elpv-cells", "verify_items": 4, "min_items": 4},
    )


def older_code(folder):
    """Write the files of the older commit, but for results and tests, as a repository."""
    packed = subprocess.run(["git", "archive", OLDER], cwd=ROOT, capture_output=True, check=False)
    if packed.returncode != 0:
        pytest.skip(f"this clone lacks the commit {OLDER}: fetch its whole history")
    with tarfile.open(fileobj=io.BytesIO(packed.stdout)) as archive:
        archive.extractall(folder, filter="data")
    for name in LEFT:
        path = folder / name
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    run(folder, "git", "init", "--quiet", "--initial-branch", "main")


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A project whose first version is of older code; the code is the present one."""
    folder = tmp_path_factory.mktemp("older") / "project"
    folder.mkdir()
    older_code(folder)
    add_small_data(folder, items=32)
    choose_params(folder)
    commit(folder, "older code")
    run(folder, "dvc", "repro")
    commit(folder, "its result")
    for name in CODE:
        path = folder / name
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    clone(folder)
    choose_params(folder)
    commit(folder, "the present code")
    return folder


def published(project):
    return read_json(project / ".rootstock/published.json")


@pytest.mark.slow
def test_a_version_of_older_code_is_used_as_any_other(project):
    expected = read_table(project / "artifacts/evaluate/predictions.parquet").set_index("path")
    _predicts(project, expected)
    _serves(project, expected)
    _is_made_anew_by_the_present_code(project)
    _is_contended_with(project)


def _predicts(project, expected):
    command = [sys.executable, "-m", "pipeline.cli", "predict", "models:/elpv-cells/1"]
    done = run(project, *command, f"{RAW}/images")
    found = pd.read_csv(io.StringIO(done.stdout))
    found["path"] = "images/" + found["path"].str.rpartition("/")[2]
    found = found.set_index("path").loc[expected.index]
    for name in ("p_defective", "p_functional"):
        assert (found[name] - expected[name]).abs().max() <= 1e-3


def _serves(project, expected):
    path = expected.index[0]
    with serving("models:/elpv-cells/1", cwd=project, env={"PYTHONPATH": str(project)}) as server:
        answer = server.post((project / RAW / path).read_bytes())
        assert answer.status_code == 200, answer.text
        assert answer.json()["label"] == expected.loc[path, "predicted"]


def _is_made_anew_by_the_present_code(project):
    """Every stage runs again, as its code is other code; the head scales features otherwise."""
    ran = run(project, "dvc", "repro").stdout
    assert "Running stage 'train'" in ran
    assert str(published(project)["version"]) == "2"


def _is_contended_with(project):
    choose_params(project, lr=0.02)
    run(project, "dvc", "repro")
    assert str(published(project)["version"]) == "3"
    entries = [json.loads(path.read_text()) for path in sorted((project / "audit").glob("*.json"))]
    last = entries[-1]
    assert last["version"] == "3"
    assert last["action"] in ("promote", "refuse"), last
    assert "unfit" not in last["evidence"], last
    assert last["evidence"]["test"]["items"] >= 4
    assert last["evidence"]["gates"], last
