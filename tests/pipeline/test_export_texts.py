"""`rootstock export` of models of texts, and its program where Rootstock cannot be imported."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pipeline.engine.rows import predict_table
from pipeline.export.run_use import FORBIDDEN, GUARD
from pipeline.modality.shown.inputs import item_input
from pipeline.model.bundle import Predictor
from pipeline.text.shelf.params import TextSpec
from tests.support.exports import card, export
from tests.support.published import Project
from tests.support.text_exports import TEXTS, text_model, weighted
from tests.support.tinytext import ARCHITECTURE, use_text_model

CASES = [
    (ARCHITECTURE, "onnx", "classification", {}),
    (ARCHITECTURE, "safetensors", "regression", {"pooling": "mean+max"}),
    (f"{ARCHITECTURE}_p16", "state_dict", "classification", {"decode": TextSpec(100)}),
    ("vectors_8d", "pt2", "classification", {"normalization": weighted()}),
    ("vectors_8d", "state_dict", "regression", {"pooling": "max"}),
    ("cnn_8d", "onnx", "regression", {}),
    ("use_multilingual", "onnx", "classification", {}),
]
HOSTILE = [
    b"",
    b" \t\r\n\0\0",
    "\u200b\u200d".encode(),
    b"bad \xff\xfe bytes",
    b"good\0bad\x1b",
    b"x" * 10_000,
    b"good bad " * 2000,
    "\ufeffgood 😀👩‍👩‍👧🏳️‍🌈 book".encode(),
    "مرحبا بالعالم good שלום \u202eevil\u202c".encode(),
    "ᚠᚢᚦ unknown \U0001f9ff\U000e0041 \u1ac1a\u0301 e\u0301".encode(),
    b"[CLS] good [SEP] [PAD] <s>",
    "CAFÉ ΣΑΣ İstanbul ﬁne \u2028 isn\u2019t It\u2019s o'clock".encode(),
    "外卖 good 北京 1,000.5 U.S. U.S.A. 12:30 a-b_c".encode(),
]


@pytest.fixture(autouse=True)
def inside(tmp_path, monkeypatch):
    """Work in an empty folder."""
    monkeypatch.chdir(tmp_path)


def write_texts(folder, contents):
    folder.mkdir()
    paths = [folder / f"{number:02}.txt" for number in range(len(contents))]
    for path, content in zip(paths, contents, strict=True):
        path.write_bytes(content)
    return paths


def use(script, paths, content=None):
    """Run the program where no package of the project can be imported."""
    command = [
        sys.executable,
        "-I",
        "-c",
        GUARD,
        ",".join(FORBIDDEN),
        str(script),
        *map(str, paths),
    ]
    done = subprocess.run(command, check=True, capture_output=True, input=content)
    return [json.loads(line) for line in done.stdout.splitlines()]


def predicted(folder, contents):
    """Give the rows of `rootstock predict`."""
    predictor = Predictor.load(folder / "model.safetensors", folder / "bundle.json")
    item = item_input("text")
    found = [item.encode(each, predictor.bundle.decode) for each in contents]
    rows = [each if isinstance(each, str) else each.row for each in found]
    return predict_table(predictor, rows).to_dict("records")


def numbers(row):
    """Give what a row says, whether of the program or of `predict`."""
    if "value" in row:
        return [row["value"]]
    return [*row.get("probabilities", {key: row[key] for key in row if key[:2] == "p_"}).values()]


@pytest.mark.slow
@pytest.mark.parametrize(("architecture", "form", "task", "changes"), CASES)
def test_every_architecture_answers_as_predict_does_without_it(architecture, form, task, changes):
    model, contents = Path("model"), [*(each.encode() for each in TEXTS), *HOSTILE]
    bundle = text_model(model, architecture, task, **changes)
    write_texts(Path("given"), [each.encode() for each in TEXTS])
    assert export(model, form, "--texts", "given") == 0
    found = card()
    assert found["compared"]["with"]["fp32"]["largest"] < 5e-5
    assert found["compared"]["texts"] == len(TEXTS)
    assert found["input"]["shape"] == ["batch", "length"]
    wanted = predicted(model, contents)
    model.rename("gone")
    Path("out").rename("elsewhere")
    paths = write_texts(Path("hostile"), contents)
    rows = use(Path("elsewhere/use.py"), paths)
    assert [row["text"] for row in rows] == list(map(str, paths))
    assert [row.get("error") for row in rows] == [row["error"] for row in wanted]
    assert [each for each in wanted[len(TEXTS) :] if each["error"]] == wanted[len(TEXTS) :][:4]
    answered = [at for at, row in enumerate(wanted) if not row["error"]]
    got = np.array([numbers(rows[at]) for at in answered])
    expected = np.array([numbers(wanted[at]) for at in answered])
    assert (np.abs(got - expected) / bundle.target_std).max() < 5e-5
    assert np.ptp(expected[: len(TEXTS), 0]) > 0.01  # else nothing was compared
    rules = ["--select", "E,F,I,B,S102,PLE", "--ignore", "B905", "--line-length", "100"]
    ruff = [sys.executable, "-m", "ruff", "check", "--isolated", *rules, "elsewhere/use.py"]
    assert subprocess.run(ruff, check=False).returncode == 0


def test_test_items_are_rows_of_a_table_and_lines_are_read_from_standard_input(tmp_path, capfd):
    use_text_model(Project(tmp_path), items=6)
    assert export("artifacts/train", "safetensors", "--items", 4) == 0
    assert (card()["compared"]["kind"], card()["compared"]["texts"]) == ("test items", 4)
    assert "compared  4 test items" in capfd.readouterr().out
    rows = use(Path("out/use.py"), [], b"it works\nit broke\n")
    assert [(row["text"], row["label"]) for row in rows] == [("line 1", "good"), ("line 2", "bad")]


def test_a_pickle_of_texts_is_refused(capfd):
    text_model(Path("model"))
    assert export("model", "pickle") == 2
    line = capfd.readouterr().err.splitlines()[-1]
    assert "--format: must be one of safetensors, pt2, onnx, state_dict for such a model" in line
    assert not Path("out").exists()
