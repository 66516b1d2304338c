"""`rootstock export`, as a user runs it, and its files, as another program uses them."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from pipeline.cli import main
from pipeline.data.decode import decode
from pipeline.errors import IntegrityError
from pipeline.export import build, onnx
from pipeline.export.formats import WRITERS
from pipeline.export.fresh import run_use
from pipeline.export.pickled import imported_names, refuse_unknown_names
from pipeline.export.pt2 import refuse_pickles
from pipeline.files import md5_file, sha256_file
from tests.closure import ROOT
from tests.exports import make_bundle, predict, write_model
from tests.published import Project, use_real_model, write_pictures

FILES = {
    "safetensors": "model.safetensors", "state_dict": "state_dict.pt", "pt2": "model.pt2",
    "onnx": "model.onnx", "pickle": "model.pickle",
}  # fmt: skip


@pytest.fixture
def pictures():
    """Give a folder with pictures of noise."""
    return write_pictures(Path("photos"), 9)[0].parent


@pytest.fixture(autouse=True)
def inside(tmp_path, monkeypatch):
    """Work in an empty folder."""
    monkeypatch.chdir(tmp_path)


def export(model, form, *options, output="out"):
    return main(["export", str(model), "--format", form, "-o", output, *map(str, options)])


def card(folder="out"):
    return json.loads(Path(folder, "export.json").read_text())


def use(script, paths):
    """Run the example as a user does; gives the objects that it prints."""
    command = [sys.executable, "-I", str(script), *paths]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


CASES = [
    ("safetensors", "test_resnet", "classification", "max"),
    ("state_dict", "test_convnext", "classification", "mean+max"),
    ("state_dict", "test_vit", "regression", "mean"),
    ("pt2", "test_vit", "regression", "mean+max"),
    ("onnx", "test_vit", "regression", "mean+max"),
]
"""With a program of its own each: timm's own model, or the pooling in it, or a graph."""

TRACED = [
    ("pt2", "test_resnet", "mean+max"),
    ("pt2", "test_convnext", "max"),
    ("pt2", "mobilenetv3_small_050", "mean+max"),
    ("onnx", "test_resnet", "max"),
    ("onnx", "test_convnext", "mean+max"),
]


@pytest.mark.slow
@pytest.mark.parametrize("form", FILES)
def test_the_folder_is_all_that_its_example_needs(pictures, form, capfd):
    """The folder moves, the model goes, and what the example prints is compared once more."""
    bundle = make_bundle()
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
    assert found["source"] == {"model": None, "md5": md5_file(model / "model.safetensors"),
                               "precision": "fp32", "weights_sha256": None}  # fmt: skip
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


@pytest.mark.slow
@pytest.mark.parametrize(("form", "architecture", "pooling"), TRACED)
def test_graphs_of_other_architectures(form, architecture, pooling):
    """In this process, since a new one for each would cost seconds."""
    bundle = make_bundle(architecture, pooling=pooling)
    model = write_model(Path("model"), bundle)
    written = WRITERS[form](Path(), model / "model.safetensors", bundle)
    size = bundle.decode.size_px
    images = np.random.default_rng(2).integers(0, 256, (3, 3, size, size), dtype=np.uint8)
    wanted = predict(model, bundle, images)
    got = run_graph(Path(written.file), images)
    assert np.abs(got - wanted).max() < 1e-5
    assert np.ptp(wanted[:, 0]) > 0.01


def run_graph(file, images):
    if file.suffix == ".onnx":
        session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
        return session.run(None, {"pictures": images})[0]
    with torch.inference_mode():
        return torch.export.load(file).module()(torch.from_numpy(images)).numpy()


@pytest.mark.parametrize("form", FILES)
def test_equal_models_give_equal_bytes(form):
    bundle = make_bundle("test_resnet")
    model = write_model(Path("model"), bundle)
    for folder in (Path("a"), Path("b")):
        folder.mkdir()
        written = WRITERS[form](folder, model / "model.safetensors", bundle)
    assert Path("a", written.file).read_bytes() == Path("b", written.file).read_bytes()


@pytest.mark.slow
def test_a_difference_beyond_the_tolerance_leaves_nothing_behind(pictures, monkeypatch, capfd):
    model = write_model(Path("model"), make_bundle())
    right = build.picture_arguments

    def wrong(bundle):
        return {**right(bundle), "temperature": bundle.temperature * 1.01}

    monkeypatch.setattr(build, "picture_arguments", wrong)
    assert export(model, "pt2", "--pictures", pictures) == 5
    last = capfd.readouterr().err.splitlines()[-1]
    assert last.startswith("error: model.pt2: must predict within 0.0001 of the model in fp32, and "
                           "differs by up to 0.00")  # fmt: skip
    assert not [path for path in Path().iterdir() if path.name not in ("model", "photos")]


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


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (["--items", 0], 2, "--items: must be 1 or more, got 0"),
        (["--tolerance", "nan"], 2, "--tolerance: must be 0 or more, and less than 1, got nan"),
        (["--pictures", "none"], 2, "--pictures: must be a folder, got 'none'"),
        (["--pictures", "empty"], 3, "empty: --pictures: must hold pictures, and has no file"),
        (["--pictures", "texts"], 3, "texts/a.png: must be a usable picture: not_image"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_refused_by_name(options, code, words, capfd):
    model = write_model(Path("model"), make_bundle())
    Path("empty").mkdir()
    Path("texts").mkdir()
    Path("texts/a.png").write_text("no picture")
    assert export(model, "safetensors", *options) == code
    assert words in capfd.readouterr().err.splitlines()[-1]
    assert not Path("out").exists()


def test_a_folder_of_other_things_is_never_replaced(pictures, capfd):
    model = write_model(Path("model"), make_bundle())
    names = sorted(path.name for path in pictures.iterdir())
    assert export(model, "safetensors", output=str(pictures)) == 2
    assert "absent, empty, or an older export" in capfd.readouterr().err
    assert sorted(path.name for path in pictures.iterdir()) == names
    assert export(model, "pickle") == 0
    assert export(model, "pickle") == 0  # an older export makes room
    Path("out/notes.txt").write_text("of the user")
    assert export(model, "pickle") == 2
    assert Path("out/notes.txt").exists()


def test_missing_packages_are_named(monkeypatch, capfd):
    model = write_model(Path("model"), make_bundle())
    monkeypatch.setattr(onnx, "PACKAGES", ("onnx", "onnx_package_that_is_not_there"))
    assert export(model, "onnx") == 4
    line = capfd.readouterr().err.splitlines()[-1]
    assert line.endswith("(run `pip install 'rootstock[onnx]'`)")
    assert "got 'no onnx_package_that_is_not_there'" in line


def test_a_damaged_model_is_not_exported(capfd):
    model = write_model(Path("model"), make_bundle())
    raw = bytearray((model / "model.safetensors").read_bytes())
    raw[-9] ^= 1
    (model / "model.safetensors").write_bytes(raw)
    assert export(model, "safetensors") == 5
    assert not Path("out").exists()


@pytest.mark.parametrize("name", ["pipeline", "torch"])
def test_a_program_that_needs_more_than_it_says_fails(tmp_path, pictures, name):
    script = tmp_path / "use.py"
    script.write_text(f"import {name}\n")
    paths = sorted(pictures.iterdir())
    with pytest.raises(IntegrityError, match=f"{name} is imported"):
        run_use(script, paths, make_bundle(), forbidden=["torch"])


class Payload:
    def __reduce__(self):
        return os.system, ("true",)


def test_a_pickle_that_would_import_more_is_refused(tmp_path):
    path = tmp_path / "model.pickle"
    torch.save({"model": torch.nn.Linear(2, 2), "more": Payload()}, path)
    assert f"{os.system.__module__}.system" in set(imported_names(path.read_bytes()))
    with pytest.raises(IntegrityError, match=r"got 'posix\.system'"):
        refuse_unknown_names(path, path.read_bytes())
    torch.save(torch.nn.Linear(2, 2), path)
    refuse_unknown_names(path, path.read_bytes())


def test_an_exported_program_with_a_pickle_in_it_is_refused(tmp_path):
    path = tmp_path / "model.pt2"
    program = torch.export.export(torch.nn.Linear(2, 2), (torch.zeros(1, 2),))
    torch.export.save(program, path)
    with pytest.raises(IntegrityError, match=r"must hold no pickle, but has .*sample_inputs"):
        refuse_pickles(path, path.read_bytes())
