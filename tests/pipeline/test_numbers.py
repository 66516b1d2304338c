"""A modality of the tests goes through all stages: lists of numbers, of which `pipeline/` knows
nothing but a name in its table."""

import io
import json
import shutil
import sys

import numpy as np
import pandas as pd
import pytest
import yaml

from pipeline.ground.files import read_json
from pipeline.ground.tables import read_table
from tests.support.closure import ROOT
from tests.support.project import clone, commit, run, set_params
from tests.support.serving import serving

ITEMS = 40
NUMBERS = ROOT / "tests/support/numbers"

pytestmark = pytest.mark.slow


def add_room(folder):
    """Put the room into a clone, and its name into the table."""
    shutil.copytree(NUMBERS, folder / "pipeline/numbers")
    table = folder / "pipeline/modality/table.py"
    text = table.read_text()
    table.write_text(text.replace('("picture", "text")', '("picture", "text", "numbers")'))
    assert table.read_text() != text


def add_items(folder):
    """Write lists whose class is the sign of their mean; the last one is broken."""
    generator = np.random.default_rng(1)
    raw = folder / "data/lists/raw"
    for label, shift in (("high", 1.0), ("low", -1.0)):
        (raw / label).mkdir(parents=True)
        for number in range(ITEMS // 2):
            values = generator.normal(shift, 1.0, size=6)
            (raw / label / f"{number:02}.vec").write_text(
                ",".join(f"{each:.4f}" for each in values)
            )
    (raw / "low/broken.vec").write_text("1,2,three")
    run(folder, "dvc", "add", "--quiet", "data/lists/raw")


def choose_params(folder):
    """Write params for lists: sections with keys of their own have no keys of pictures."""
    path = folder / "params.yaml"
    params = yaml.safe_load(path.read_text(encoding="utf-8"))
    for name in ("min_side_px", "max_pixels", "max_aspect", "animated", "near_turns"):
        del params["clean"][name]
    params["clean"]["min_length"] = 3
    params["transform"] = {"length": 6, "shard_rows": 16}
    params["normalize"] = {"drift_warn": 9.0}
    params["augment"] = {}
    params["weights"] = {
        "source": "none",
        "architecture": "projection",
        "sha256": None,
        "key": None,
    }
    path.write_text(yaml.safe_dump(params, sort_keys=False), encoding="utf-8")
    set_params(
        folder,
        data={"path": "data/lists/raw", "labels": "data/lists/raw"},
        features={"cut": "none", "views": 1},
        train={
            "strategy": "head",
            "start": "zero",
            "epochs": 20,
            "batch_size": 8,
            "batch_norm": "stored",
            "test_views": 1,
        },
        evaluate={"bootstrap": 50},
        runtime={"threads": 1},
        machine={"workers": 1, "progress": "none"},
        registry={"verify_items": 8},
    )


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    folder = clone(tmp_path_factory.mktemp("numbers") / "project")
    add_room(folder)
    add_items(folder)
    choose_params(folder)
    commit(folder, "lists of numbers")
    run(folder, "dvc", "repro")
    return folder


def test_all_stages_run(project):
    manifest = read_table(project / "artifacts/clean/manifest.parquet").set_index("path")
    assert len(manifest) == ITEMS + 1
    assert manifest.loc["low/broken.vec", "reason"] == "not_numbers"
    assert set(manifest["length"].dropna()) == {6}
    for record in (
        "transform/store/store.json",
        "normalize/normalization.json",
        "train/bundle.json",
    ):
        assert read_json(project / "artifacts" / record)["modality"] == "numbers", record
    metrics = read_json(project / "artifacts/evaluate/metrics.json")
    assert metrics["accuracy"] >= 0.9
    assert read_json(project / ".rootstock/published.json")["version"] == "1"


def test_a_registered_version_predicts_files(project):
    command = [sys.executable, "-m", "pipeline.cli", "predict", "models:/elpv-cells@champion"]
    done = run(project, *command, "data/lists/raw/low")
    answers = pd.read_csv(io.StringIO(done.stdout)).set_index("path")
    assert len(answers) == ITEMS // 2 + 1
    right = answers["label"] == "low"
    assert right.sum() >= ITEMS // 2 - 2
    broken = next(path for path in answers.index if path.endswith("broken.vec"))
    assert answers.loc[broken, "error"].startswith("not_numbers: ")


def test_a_registered_version_is_served(project):
    where = {"PYTHONPATH": str(project)}
    with serving("models:/elpv-cells@champion", cwd=project, env=where) as server:
        answer = server.post(b"2,2,2,2,2,2", "text/plain")
        assert answer.status_code == 200, answer.text
        assert answer.json()["label"] == "high"
        answers = server.post(
            json.dumps({"lists": ["2,2,2,2,2,2", "-2,-1,-2"]}), "application/json"
        )
        assert [each["label"] for each in answers.json()["predictions"]] == ["high", "low"]
        assert "not_numbers" in server.post(b"one, two", "text/plain").text
