"""A network rebuilt from classes of torch and timm gives what the predictor gives."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from pipeline.model.bundle import load_network, save_model
from pipeline.picture.export.build import classifier, picture_model, pooled_classifier
from tests.support.exports import make_bundle, predict, write_model

CASES = (
    ("test_efficientnet", "mean+max", {"global_pool": "catavgmax"}),
    ("test_resnet", "max", {"global_pool": "max"}),
    ("test_resnet", "mean+max", {"global_pool": "catavgmax"}),
    ("test_convnext", "mean", {"global_pool": "avg"}),
    ("test_convnext", "mean+max", None),
    ("mobilenetv3_small_050", "mean", {"global_pool": "avg"}),
    ("mobilenetv3_small_050", "mean+max", None),
    ("test_vit", "mean", {"global_pool": "avg", "fc_norm": False}),
    ("test_vit", "mean+max", None),
)


def pictures(size, count=5):
    generator = np.random.default_rng(3)
    return generator.integers(0, 256, (count, 3, size, size), dtype=np.uint8)


@pytest.mark.parametrize(("architecture", "pooling", "options"), CASES)
def test_both_ways_to_build_it_predict_the_same(tmp_path, architecture, pooling, options):
    bundle = make_bundle(architecture, pooling=pooling)
    folder = write_model(tmp_path, bundle)
    images = pictures(bundle.decode.size_px)
    wanted = predict(folder, bundle, images)
    found = classifier(load_network(folder / "model.safetensors", bundle))
    assert found.options == (None if options is None else {"num_classes": 2, **options})
    modules = (pooled_classifier(load_network(folder / "model.safetensors", bundle)), found.module)
    for module in modules:
        with torch.inference_mode():
            got = picture_model(module, bundle)(torch.from_numpy(images)).numpy()
        assert np.abs(got - wanted).max() < 1e-5
    assert np.ptp(wanted[:, 0]) > 0.01  # else nothing was compared


def test_values_keep_their_digits_where_the_mean_is_large(tmp_path):
    bundle = make_bundle(task="regression", target_mean=1e7, target_std=2.0)
    folder = write_model(tmp_path, bundle)
    images = pictures(bundle.decode.size_px)
    wanted = predict(folder, bundle, images)
    module = pooled_classifier(load_network(folder / "model.safetensors", bundle))
    with torch.inference_mode():
        got = picture_model(module, bundle)(torch.from_numpy(images))
    assert got.dtype == torch.float64
    assert np.abs(got.numpy() - wanted).max() / 2.0 < 1e-5
    assert np.ptp(wanted) > 0.1


@pytest.mark.parametrize("field", ["views", "temperature", "normalization"])
def test_what_is_around_the_model_matters(tmp_path, field):
    """Each part of the bundle changes what the models of these tests predict."""
    bundle = make_bundle()
    folder = write_model(tmp_path, bundle)
    images = pictures(bundle.decode.size_px)
    plain = {
        "views": (0,),
        "temperature": 1.0,
        "normalization": replace(bundle.normalization, mean=(0.0, 0.0, 0.0)),
    }
    changed = replace(bundle, **{field: plain[field]})
    (tmp_path / "other").mkdir()
    network = load_network(folder / "model.safetensors", bundle)
    save_model(tmp_path / "other/model.safetensors", network, changed)
    other = predict(tmp_path / "other", changed, images)
    assert np.abs(other - predict(folder, bundle, images)).max() > 1e-3
