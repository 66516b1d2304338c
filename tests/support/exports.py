"""Small models to export: a folder as `train` leaves it, with outputs that differ by picture."""

import json
from dataclasses import replace
from pathlib import Path

import torch

from pipeline.cli import main
from pipeline.compute.device import start_runtime
from pipeline.model.bundle import Predictor, load_network, save_model
from pipeline.picture.shelf.normalization import Normalization
from tests.support.published import small_bundle, small_network

FILES = {
    "safetensors": "model.safetensors",
    "pt2": "model.pt2",
    "onnx": "model.onnx",
    "state_dict": "state_dict.pt",
    "pickle": "model.pickle",
}
"""By format."""

SIZES = {"test_vit": 160}
"""Of architectures that take one size only; the others get small pictures."""

NORMALIZATION = Normalization("pretrained", 1 / 255, (0.5, 0.4, 0.3), (0.2, 0.25, 0.3))


def make_bundle(architecture="test_efficientnet", *, task="classification", **changes):
    """Give a bundle in which nothing is neutral, so that what an export forgets is seen."""
    bundle = small_bundle(task)
    decode = replace(bundle.decode, size_px=SIZES.get(architecture, 64))
    target = {"target_mean": 1000.0, "target_std": 3.0} if task == "regression" else {}
    unusual = {"decode": decode, "views": (0, 1, 6), "normalization": NORMALIZATION, **target}
    return replace(bundle, architecture=architecture, **{**unusual, **changes})


def make_network(bundle, *, seed=1):
    """Give a network whose head scales features and has a bias."""
    network = small_network(bundle, seed=seed).eval()
    generator = torch.Generator().manual_seed(seed)
    pictures = torch.randint(
        0,
        256,
        (8, 3, bundle.decode.size_px, bundle.decode.size_px),
        dtype=torch.uint8,
        generator=generator,
    )
    with torch.no_grad():
        features = network.pooled(pictures)
        network.head.mean.copy_(features.mean(0))
        # the pictures are much alike: what tells them apart is made large
        network.head.std.copy_((features.std(0) + 1e-3) * network.head.in_features**0.5 / 2)
        network.head.bias.normal_(generator=generator)
    return network


def write_model(folder, bundle, *, seed=1):
    """Write model.safetensors and bundle.json."""
    folder.mkdir(parents=True, exist_ok=True)
    save_model(folder / "model.safetensors", make_network(bundle, seed=seed), bundle)
    bundle.save(folder / "bundle.json")
    return folder


def predict(folder, bundle, images_NCHW):
    """Predict in single precision, as the project itself does."""
    runtime = start_runtime(torch.device("cpu"), precision="fp32", threads=1)
    facts = replace(bundle, precision="fp32")
    network = load_network(folder / "model.safetensors", bundle)
    return Predictor(network, facts, runtime=runtime).predict(images_NCHW)


def export(model, form, *options, output="out"):
    """Run the command in this process; gives its exit code."""
    return main(["export", str(model), "--format", form, "-o", output, *map(str, options)])


def card(folder="out"):
    """Read export.json."""
    return json.loads(Path(folder, "export.json").read_text())
