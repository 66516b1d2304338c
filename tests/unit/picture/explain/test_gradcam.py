"""Heat lies where the decision is made, turns with the picture, and depends on it alone."""

import base64
import json
from io import BytesIO

import numpy as np
import pytest
import torch
from PIL import Image

from pipeline.engine.engine import Engine
from pipeline.ground.errors import DataError
from pipeline.picture.explain.gradcam import evidence, explain_picture, heat, heat_maps
from pipeline.picture.net.augment import orient
from pipeline.picture.net.backbones import build_backbone
from pipeline.picture.show.heat_colors import heat_colors, lay_over
from tests.support.planted import planted_predictor, timm_predictor
from tests.support.published import predict_bytes

ALL = tuple(range(8))
HALF = 32


@pytest.fixture(autouse=True)
def _torch_settings():
    threads, is_strict = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    yield
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(is_strict)


def noise(count=3, size=64, seed=0):
    generator = np.random.default_rng(seed)
    return generator.integers(0, 256, (count, 3, size, size), dtype=np.uint8)


def png(image):
    stream = BytesIO()
    Image.fromarray(image.transpose(1, 2, 0)).save(stream, "PNG")
    return stream.getvalue()


def share(maps, rows, columns):
    """Give the share of each map's heat in a part of it."""
    exact = maps.astype(np.float64)
    return exact[:, rows, columns].sum((1, 2)) / exact.sum((1, 2))


def turned(values, code):
    return orient(torch.from_numpy(values), code).numpy()


def test_heat_lies_in_the_one_quadrant_that_decides():
    maps = heat_maps(planted_predictor(), noise())
    assert maps.dtype == np.float32
    assert maps.shape == (3, 64, 64)
    assert maps.max((1, 2)).tolist() == [1, 1, 1]
    assert maps.min() >= 0
    # bilinear growth smears half a cell of 8 pixels over the border
    assert (share(maps, slice(0, HALF), slice(0, HALF)) > 0.85).all()
    assert (share(maps, slice(0, HALF + 4), slice(0, HALF + 4)) == 1).all()


def test_the_maps_of_turned_views_are_turned_back():
    maps = heat_maps(planted_predictor(views=(0, 1)), noise())
    assert (share(maps, slice(0, HALF + 4), slice(None)) == 1).all()
    left, right = (share(maps, slice(None), half) for half in (slice(HALF), slice(HALF, None)))
    assert (np.minimum(left, right) > 0.3).all()


@pytest.mark.parametrize("code", ALL)
def test_a_view_s_map_is_laid_back_as_the_view_was_turned(code):
    images = np.zeros((1, 3, 64, 64), dtype=np.uint8)
    images[:, :, :8, 16:24] = 255  # one bright cell, in row 0 and column 2
    found = evidence(planted_predictor(everywhere=True, views=(code,)), images, np.array([1]))
    assert np.unravel_index(found[0].argmax(), found[0].shape) == (0, 2)


def test_evidence_is_known_by_hand():
    images = np.zeros((1, 3, 64, 64), dtype=np.uint8)
    images[:, :, 8:16, 32:40] = 255
    found = evidence(planted_predictor(everywhere=True), images, np.array([1]))[0]
    expected = np.zeros((8, 8), dtype=np.float32)
    expected[1, 4] = 4 / 64  # slope 4 of 64 cells' mean, times brightness 1
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_the_largest_output_is_meant_unless_another_is_asked_for():
    predictor, images = planted_predictor(everywhere=True), noise()
    images[0] = 250
    images[1:] = 5
    same = evidence(predictor, images)
    np.testing.assert_array_equal(same, evidence(predictor, images, np.array([1, 0, 0])))
    assert not np.allclose(same, evidence(predictor, images, np.array([0, 1, 1])))


@pytest.mark.parametrize("architecture", ["test_efficientnet", "test_vit", "test_mambaout"])
def test_the_map_of_a_turned_picture_is_the_turned_map(architecture):
    predictor = timm_predictor(architecture, views=ALL, size_px=160)
    images = noise(1, size=160)
    plain = evidence(predictor, images, np.array([1]))
    for code in (1, 4, 6):
        other = evidence(predictor, np.ascontiguousarray(turned(images, code)), np.array([1]))
        np.testing.assert_allclose(other, turned(plain, code), rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("pooling", ["mean", "max", "mean+max"])
@pytest.mark.parametrize("architecture", ["test_efficientnet", "test_convnext", "test_vit"])
def test_it_is_the_definition_on_a_network_that_is_not_folded(architecture, pooling):
    predictor = timm_predictor(architecture, pooling=pooling, size_px=160)
    images = noise(2, size=160)
    backbone, head = build_backbone(architecture), predictor.network.head
    features = backbone(predictor.network.prepare(torch.from_numpy(images)))
    features.retain_grad()
    head(backbone.pool(features, pooling))[:, 1].sum().backward()
    maps, slopes = (
        each[:, each.shape[1] - 100 :].unflatten(1, (10, 10))
        if each.ndim == 3
        else each.permute(0, 2, 3, 1)
        for each in (features.detach(), features.grad)
    )
    expected = (maps * slopes.mean((1, 2), keepdim=True)).sum(-1)
    found = evidence(predictor, images, np.array([1, 1]))
    np.testing.assert_allclose(found, expected.numpy(), rtol=2e-3, atol=1e-5)


def test_maps_are_equal_to_the_bit_alone_and_among_others_again_and_after_predictions():
    predictor, images = timm_predictor("test_efficientnet", views=(0, 3), size_px=96), noise(3, 96)
    together = evidence(predictor, images)
    predictor.predict(images)
    for number in range(3):
        alone = evidence(predictor, images[number : number + 1])
        np.testing.assert_array_equal(alone[0], together[number])


def test_a_picture_without_evidence_has_no_heat():
    maps = heat(np.array([[[-1.0, -2.0], [-3.0, 0.0]]], dtype=np.float32), 8)
    assert not maps.any()


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_an_explained_picture_is_the_predicted_one_with_a_layer_over_it(task):
    predictor = timm_predictor("test_vit", task=task, size_px=160)
    raw = png(noise(1, 160)[0])
    found = explain_picture(predictor, raw)
    row = predict_bytes(predictor, [raw]).iloc[0]
    names = ["label", "confidence"] if task == "classification" else ["value"]
    assert {name: found[name] for name in names} == row[names].to_dict()
    assert json.loads(json.dumps(found)) == found
    layer, seen = (
        Image.open(BytesIO(base64.b64decode(found[name]))) for name in ("heatmap_png", "seen_jpeg")
    )
    assert (layer.mode, layer.size) == ("RGBA", (160, 160))
    assert (seen.format, seen.size) == ("JPEG", (160, 160))
    assert found["method"] == "Grad-CAM"
    assert found["layer"] == "last feature map of test_vit, 10 x 10"


def test_an_engine_explains_as_a_predictor_does_and_goes_on_after_a_bad_picture():
    predictor = timm_predictor("test_efficientnet", size_px=160, views=(0, 5))
    raw = png(noise(1, 160)[0])
    engine = Engine(predictor, decoders=1)
    try:
        with pytest.raises(DataError, match="must be a usable picture: not_image"):
            engine.explain(b"GET / HTTP/1.1")
        assert engine.explain(raw) == explain_picture(predictor, raw)
        assert engine.predict([raw])[0]["confidence"] == engine.explain(raw)["confidence"]
    finally:
        engine.close()


def test_what_is_no_picture_is_refused():
    with pytest.raises(DataError, match="must be a usable picture: not_image"):
        explain_picture(planted_predictor(), b"GET / HTTP/1.1")


def test_colors_rise_in_brightness_and_cold_places_stay_as_they_are():
    ramp = np.linspace(0, 1, 50, dtype=np.float32)[np.newaxis]
    layer = heat_colors(ramp)
    assert (layer.dtype, layer.shape, layer[0, 0, 3]) == (np.uint8, (1, 50, 4), 0)
    assert (np.diff(layer[0, :, :3] @ np.array([299, 587, 114])) > 0).all()
    gray = np.full((1, 50, 3), 90, dtype=np.uint8)
    assert lay_over(gray, ramp)[0, 0].tolist() == [90, 90, 90]
    assert (lay_over(gray, ramp)[0, -1] > 90).any()
