"""What `rootstock export` refuses, and that a refusal leaves nothing behind."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from pipeline.export import onnx
from pipeline.export.pt2 import GraphInput, refuse_pickles, write_pt2
from pipeline.export.run_use import run_use
from pipeline.ground.errors import IntegrityError, ParamsError
from pipeline.picture.export import build, usage
from pipeline.picture.export.pickled import imported_names, refuse_unknown_names
from tests.support.closure import ROOT
from tests.support.exports import card, export, make_bundle, write_model
from tests.support.published import write_pictures


@pytest.fixture(autouse=True)
def inside(tmp_path, monkeypatch):
    """Work in an empty folder."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def pictures(inside):
    """Give a folder with pictures of noise."""
    return write_pictures(Path("photos"), 9)[0].parent


@pytest.mark.slow
def test_a_difference_beyond_the_tolerance_leaves_nothing_behind(pictures, monkeypatch, capfd):
    model = write_model(Path("model"), make_bundle())
    right = usage.picture_arguments  # imported by now, else it would keep the wrong one for good

    def wrong(bundle):
        return {**right(bundle), "temperature": bundle.temperature * 1.01}

    monkeypatch.setattr(build, "picture_arguments", wrong)
    assert export(model, "pt2", "--pictures", pictures) == 5
    last = capfd.readouterr().err.splitlines()[-1]
    assert last.startswith(
        "error: model.pt2: must predict within 0.0001 of the model in fp32, and "
        "differs by up to 0.00"
    )
    assert not [path for path in Path().iterdir() if path.name not in ("model", "photos")]


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (["--items", 0], 2, "--items: must be 1 or more, got 0"),
        (["--tolerance", "nan"], 2, "--tolerance: must be 0 or more, and less than 1, got nan"),
        (["--pictures", "none"], 2, "--pictures: must be a folder, got 'none'"),
        (["--pictures", "empty"], 3, "empty: --pictures: must hold pictures, and has no file"),
        (["--pictures", "texts"], 3, "texts/a.png: must be a usable picture: not_image"),
    ],
)
def test_what_cannot_be_used_is_refused_by_name(options, code, words, capfd):
    model = write_model(Path("model"), make_bundle())
    Path("empty").mkdir()
    Path("texts").mkdir()
    Path("texts/a.png").write_text("no picture")
    assert export(model, "safetensors", *options) == code
    assert words in capfd.readouterr().err.splitlines()[-1]
    assert not Path("out").exists()


def test_a_label_file_is_none_of_the_given_pictures(pictures):
    for name in ("labels.csv", "labels.parquet"):
        (pictures / name).write_text("path,label\n0.png,a\n")
    assert export(write_model(Path("model"), make_bundle()), "pickle", "--pictures", pictures) == 0
    assert card()["compared"]["pictures"] == 9


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


def test_an_export_with_an_edited_file_is_not_replaced(capfd):
    model = write_model(Path("model"), make_bundle())
    assert export(model, "pickle") == 0
    edited = Path("out/use.py").read_text() + "# of the user\n"
    Path("out/use.py").write_text(edited)
    assert export(model, "pickle") == 2
    assert "absent, empty, or an older export" in capfd.readouterr().err
    assert Path("out/use.py").read_text() == edited


@pytest.mark.parametrize("output", [".", "..", "../out", "../../work", "/", "below/.."])
def test_the_folder_that_one_works_in_is_never_replaced(output, monkeypatch, tmp_path, capfd):
    model = write_model(tmp_path / "model", make_bundle())
    assert export(model, "pickle", output="work/out") == 0
    before = sorted(Path("work").rglob("*"))
    monkeypatch.chdir("work/out")
    assert export(model, "pickle", output=output) == 2
    line = capfd.readouterr().err.splitlines()[-1]
    assert "-o: must end in a name, and not be the folder that you work in or one above it" in line
    monkeypatch.chdir(tmp_path)
    assert sorted(Path("work").rglob("*")) == before


def test_missing_packages_are_named(monkeypatch, capfd):
    model = write_model(Path("model"), make_bundle())
    monkeypatch.setattr(onnx, "PACKAGES", ("onnx", "onnx_package_that_is_not_there"))
    assert export(model, "onnx") == 4
    line = capfd.readouterr().err.splitlines()[-1]
    assert line.endswith("(run `pip install 'rootstock[onnx]'`)")
    assert "got 'no onnx_package_that_is_not_there'" in line


@pytest.mark.parametrize(
    ("output", "words"),
    [
        ("model/bundle.json/out", "must be in a folder"),
        ("model/bundle.json/out/below", "must be in a folder"),
        ("dangling/out", "must be in a folder"),
        ("loop/out", "must be in a folder"),
        ("x" * 250, "cannot be written: File name too long"),
        ("x" * 300 + "/out", "cannot be written: File name too long"),
        ("deep/" * 1000 + "out", "cannot be written: File name too long"),
    ],
    ids=lambda each: each[:20],
)
def test_a_target_that_cannot_be_written_is_refused_before_the_work(output, words, capfd):
    model = write_model(Path("model"), make_bundle())
    Path("dangling").symlink_to("nowhere")
    Path("loop").symlink_to("loop")
    assert export(model, "pickle", output=output) == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith(f"error: rootstock export: -o: {words}, got '")
    assert sorted(path.name for path in Path().iterdir()) == ["dangling", "loop", "model"]


def _is_begun():
    try:
        return any(Path().glob(".tmp-out-*/*"))
    except FileNotFoundError:  # it got its name meanwhile
        return False


@pytest.mark.slow
def test_a_signal_leaves_nothing_behind():
    write_model(Path("model"), make_bundle())
    command = [
        sys.executable,
        "-m",
        "pipeline.cli",
        "export",
        "model",
        "--format",
        "onnx",
        "-o",
        "out",
    ]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        while not _is_begun() and process.poll() is None:
            time.sleep(0.05)
        process.terminate()
        _, told = process.communicate()
    assert process.returncode == 143
    assert told.splitlines()[-1] == (
        "error: rootstock export: stopped by SIGTERM (run the same command again)"
    )
    assert [path.name for path in Path().iterdir()] == ["model"]


@pytest.mark.parametrize("content", ["{}", "[]", "no JSON", '{"files": ["a"]}', '{"files": [[]]}'])
def test_a_folder_with_an_export_json_of_others_is_not_replaced(content):
    model = write_model(Path("model"), make_bundle())
    Path("out").mkdir()
    Path("out/export.json").write_text(content)
    assert export(model, "pickle") == 2
    assert Path("out/export.json").read_text() == content


def test_a_model_too_large_for_onnx_is_refused(monkeypatch, capfd):
    monkeypatch.setattr(onnx, "_MOST_BYTES", 1000)
    assert export(write_model(Path("model"), make_bundle()), "onnx") == 2
    line = capfd.readouterr().err.splitlines()[-1]
    assert line.startswith("error: model.onnx: must hold at most 1000 bytes, got 4")
    assert not Path("out").exists()


class Branching(torch.nn.Module):
    """What no tracer can follow: other operations for other pictures."""

    def forward(self, pictures):
        return pictures.float() if pictures.float().mean() > 1 else pictures.float() * 2


def test_an_architecture_that_cannot_be_traced_is_refused(tmp_path):
    with pytest.raises(ParamsError, match=r"torch cannot trace this architecture: .+"):
        write_pt2(tmp_path / "model.pt2", Branching(), GraphInput("pictures", torch.ones(2, 3), {}))
    assert not (tmp_path / "model.pt2").exists()


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
