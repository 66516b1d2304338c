"""What the formats hold: graphs of all families of architectures, in equal bytes each time."""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from pipeline.commands.export import FORMATS
from pipeline.picture.export.formats import WRITERS
from tests.support.exports import FILES, make_bundle, predict, write_model

TRACED = [
    ("pt2", "test_vit", "mean+max"),
    ("pt2", "test_resnet", "mean+max"),
    ("pt2", "test_convnext", "max"),
    ("pt2", "mobilenetv3_small_050", "mean+max"),
    ("onnx", "test_resnet", "max"),
    ("onnx", "test_convnext", "mean+max"),
]


@pytest.fixture(autouse=True)
def inside(tmp_path, monkeypatch):
    """Work in an empty folder."""
    monkeypatch.chdir(tmp_path)


def test_the_command_offers_what_can_be_written():
    assert FORMATS == tuple(WRITERS) == tuple(FILES)


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


@pytest.mark.slow
@pytest.mark.parametrize("form", FILES)
def test_equal_models_give_equal_bytes(form):
    bundle = make_bundle("test_resnet")
    model = write_model(Path("model"), bundle)
    for folder in (Path("a"), Path("b")):
        folder.mkdir()
        written = WRITERS[form](folder, model / "model.safetensors", bundle)
    assert Path("a", written.file).read_bytes() == Path("b", written.file).read_bytes()
