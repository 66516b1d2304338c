"""`rootstock export`, as a user runs it, and its files, as another program uses them."""

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from pipeline.ground.files import md5_file, sha256_file
from pipeline.picture.read.decode import decode
from tests.support.closure import ROOT
from tests.support.exports import FILES, card, export, make_bundle, predict, write_model
from tests.support.published import Project, use_real_model, write_pictures

ALONE = [*((form, "test_efficientnet") for form in FILES), ("pickle", "test_convnext")]
"""The last has a pooling that timm lacks, so that its pickle holds two parts."""

CASES = [
    ("state_dict", "test_convnext", "classification", "mean+max"),
    ("state_dict", "test_vit", "regression", "mean"),
    ("onnx", "test_vit", "regression", "mean+max"),
]
"""With a program of its own each: timm's own model, or the pooling in it, or a graph."""


@pytest.fixture(autouse=True)
def inside(tmp_path, monkeypatch):
    """Work in an empty folder."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def pictures(inside):
    """Give a folder with pictures of noise."""
    return write_pictures(Path("photos"), 9)[0].parent


def use(script, paths):
    """Run the example as a user does; gives the objects that it prints."""
    command = [sys.executable, "-I", str(script), *paths]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.slow
@pytest.mark.parametrize(("form", "architecture"), ALONE)
def test_the_folder_is_all_that_its_example_needs(pictures, form, architecture, capfd):
    """The folder moves, the model goes, and what the example prints is compared once more."""
    bundle = make_bundle(architecture)
    model = write_model(Path("model"), bundle)
    assert export(model, form, "--pictures", pictures) == 0
    told = capfd.readouterr()
    assert "9 given pictures" in told.out
    assert ("a pickle can run any program" in told.err) == (form == "pickle")
    check_card(form, model)
    Path("out").rename("elsewhere")
    paths = sorted(str(path.resolve()) for path in pictures.iterdir())
    images = np.stack([decode(Path(path).read_bytes(), bundle.decode) for path in paths])
    wanted = predict(model, bundle, images)
    model.rename("gone")
    rows = use(Path("elsewhere/use.py"), paths)  # a batch of eight, and one of one
    assert [row["picture"] for row in rows] == paths
    got = np.array([[row["probabilities"][name] for name in bundle.classes] for row in rows])
    assert np.abs(got - wanted).max() < 1e-5
    assert np.ptp(wanted[:, 0]) > 0.01  # else nothing was compared
    assert [row["label"] for row in rows] == [bundle.classes[at] for at in wanted.argmax(1)]


def check_card(form, model):
    found = card()
    assert found["compared"]["with"]["fp32"]["largest"] < 1e-5
    assert (found["compared"]["pictures"], found["compared"]["tolerance"]) == (9, {"fp32": 1e-4})
    assert found["source"] == {
        "model": None,
        "md5": md5_file(model / "model.safetensors"),
        "precision": "fp32",
        "weights_sha256": None,
    }
    names = {path.name for path in Path("out").iterdir()}
    assert names == {FILES[form], "bundle.json", "export.json", "use.py"}
    assert found["files"] == {
        name: {"sha256": sha256_file(Path("out", name)), "bytes": Path("out", name).stat().st_size}
        for name in names - {"export.json"}
    }
    is_whole = form in ("pt2", "onnx")
    assert found["input"]["dtype"] == ("uint8" if is_whole else "float32")
    assert found["output"]["temperature_applied"] == is_whole
    assert Path("out/bundle.json").read_bytes() == (model / "bundle.json").read_bytes()
    for name in (b"/tmp", b"site-packages", str(Path.home()).encode(), str(ROOT).encode()):
        for file in Path("out").iterdir():
            assert name not in unpacked(file), f"{file} holds {name}"


def unpacked(file):
    """Give the bytes of a file; of an archive, those of its members."""
    if not zipfile.is_zipfile(file):
        return file.read_bytes()
    with zipfile.ZipFile(file) as archive:
        return b"".join(archive.read(name) for name in archive.namelist())


@pytest.mark.slow
@pytest.mark.parametrize(("form", "architecture", "task", "pooling"), CASES)
def test_every_kind_of_model_is_compared_in_a_fresh_process(
    pictures, form, architecture, task, pooling
):
    bundle = make_bundle(architecture, task=task, pooling=pooling)
    model = write_model(Path("model"), bundle)
    assert export(model, form, "--pictures", pictures, "--items", 2) == 0
    assert card()["compared"]["with"]["fp32"]["largest"] < 1e-5
    assert card()["compared"]["how"].startswith("use.py in a fresh process")


def test_the_precision_of_the_bundle_is_compared_too(pictures):
    model = write_model(Path("model"), make_bundle(precision="bf16"))
    assert export(model, "pickle", "--pictures", pictures) == 0
    found = card()["compared"]["with"]
    assert found["fp32"]["largest"] < 1e-5 < found["bf16"]["largest"] < 0.1
    assert card()["source"]["precision"] == "bf16"
    assert card()["precision"] == "fp32"


def test_test_items_are_taken_where_their_raw_files_are_here(tmp_path, capfd):
    use_real_model(Project(tmp_path), items=6)
    assert export("artifacts/train", "pickle", "--items", 4) == 0
    assert (card()["compared"]["kind"], card()["compared"]["pictures"]) == ("test items", 4)
    for path in (tmp_path / "data/cells/raw/images").iterdir():
        path.unlink()
    assert export("artifacts/train", "pickle", "--items", 4) == 0
    assert card()["compared"]["kind"] == "generated pictures"
    assert "for want of test items: data/cells/raw/images/" in capfd.readouterr().err


def test_a_modality_without_formats_is_refused_by_its_name(tmp_path, capfd):
    folder = Path("model")
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(b"")
    (folder / "bundle.json").write_text('{"modality": "numbers"}')
    assert export(folder, "onnx") == 2
    assert "numbers" in capfd.readouterr().err
    assert not Path("out").exists()
