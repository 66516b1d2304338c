"""The checks of the maps find what is planted: weights that matter, places that matter, borders."""

import numpy as np
import pytest
import torch

from pipeline.explain.checks import mean_with_interval, shuffle_weights
from pipeline.judge.resampling import Bootstrap
from pipeline.picture.explain.findings import findings, warnings
from pipeline.picture.explain.gradcam import evidence, heat_maps
from pipeline.picture.explain.heat_maps import border_mask, share_in
from pipeline.picture.explain.sanity import correlate, cover, hottest
from tests.support.planted import planted_predictor, timm_predictor


def noise(count=4, size=64, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, 3, size, size), dtype=np.uint8)


def test_the_border_is_as_wide_as_asked_for_and_holds_its_share_of_even_heat():
    mask = border_mask(50, 0.1)
    assert (int(mask[:5].all()), int(mask[5:45, 5:45].any())) == (1, 0)
    assert mask.mean() == pytest.approx(1 - 0.8**2)
    even = np.ones((2, 50, 50), dtype=np.float32)
    np.testing.assert_allclose(share_in(even, mask), mask.mean())
    middle = np.zeros((1, 50, 50), dtype=np.float32)
    assert np.isnan(share_in(middle, mask))
    middle[0, 20:30, 20:30] = 1
    assert share_in(middle, mask) == 0
    assert border_mask(8, 0.01).sum() == 28


def test_rank_correlation_is_spearman_s_of_what_is_seen():
    first = np.array([[[1.0, 2.0], [3.0, 4.0]]], dtype=np.float32)
    assert correlate(first, first**3)[0] == pytest.approx(1.0)
    assert correlate(first, 5 - first)[0] == pytest.approx(-1.0)
    swapped = np.array([[[2.0, 1.0], [3.0, 4.0]]], dtype=np.float32)
    assert correlate(first, swapped)[0] == pytest.approx(1 - 6 * 2 / (4 * 15))
    assert np.isnan(correlate(first, -first)[0])  # nothing speaks for the answer


def test_shuffling_keeps_the_values_and_their_scale_and_depends_on_the_generator_alone():
    values = torch.arange(24.0).view(2, 3, 4)
    found = []
    for seed in (1, 1, 2):
        tensor = torch.nn.Parameter(values.clone())
        shuffle_weights([tensor], torch.Generator().manual_seed(seed))
        found.append(tensor.detach())
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])
    assert not torch.equal(found[0], values)
    assert torch.equal(found[0].flatten().sort().values, values.flatten())


def test_another_head_changes_the_maps():
    predictor, images = timm_predictor("test_efficientnet", size_px=160), noise(8, 160)
    most = [evidence(predictor, images, np.full(8, number)).max((1, 2)) for number in (0, 1)]
    outputs = np.argmax(most, axis=0)  # of random weights, one output may have no heat at all
    before = evidence(predictor, images, outputs)
    correlations = []
    for seed in range(6):
        shuffle_weights([predictor.network.head.weight], torch.Generator().manual_seed(seed))
        correlations.append(correlate(before, evidence(predictor, images, outputs)))
    assert correlate(before, before) == pytest.approx(np.ones(8))
    assert np.nanmean(correlations) < 0.5


def test_covering_the_hottest_part_of_a_planted_picture_changes_the_answer_and_elsewhere_does_not():
    predictor = planted_predictor()
    images = np.full((1, 3, 64, 64), 20, dtype=np.uint8)
    images[:, :, 8:16, 8:16] = 250
    heat = heat_maps(predictor, images, np.array([1]))[0]
    mask = hottest(heat, 0.04)
    assert mask.sum() == round(0.04 * 64 * 64)
    assert mask[12, 12]
    plain = predictor.predict(images)[0, 1]
    covered = predictor.predict(cover(images[0], mask)[np.newaxis])[0, 1]
    elsewhere = predictor.predict(cover(images[0], mask[::-1, ::-1])[np.newaxis])[0, 1]
    assert plain - covered > 0.01
    assert abs(plain - elsewhere) < 0.001


def test_covered_places_are_smooth_with_soft_edges_and_others_stay():
    picture = noise(1)[0]
    mask = np.zeros((64, 64), dtype=bool)
    mask[20:50, 20:50] = True
    found = cover(picture, mask)
    inside, outside = slice(27, 43), slice(0, 12)
    assert (found[:, outside] == picture[:, outside]).all()
    assert np.abs(np.diff(found[:, inside, inside].astype(int))).max() <= 5
    even = np.full((3, 64, 64), 77, dtype=np.uint8)
    assert (cover(even, mask) == even).all()
    bright = np.zeros((3, 64, 64), dtype=np.uint8)
    bright[:, 30:34] = 255
    assert np.abs(np.diff(cover(bright, mask).astype(int), axis=2)).max() < 64


def test_a_mean_has_an_interval_over_groups():
    values = np.array([0.0, 0.0, 0.0, 1.0])
    alone = mean_with_interval(values, np.arange(4), Bootstrap(500, 1, np.arange(9)))
    together = mean_with_interval(values, np.zeros(4, int), Bootstrap(500, 1, np.arange(9)))
    assert (alone["mean"], alone["low"], alone["high"]) == (0.25, 0.0, 0.75)
    assert together == {"mean": 0.25, "low": 0.25, "high": 0.25}


REPORT = {
    "looking": {
        "items": 10,
        "without_heat": 0,
        "border": {"area": 0.36, "heat": {"mean": 0.2, "low": 0.18, "high": 0.22}},
    },
    "sanity": {
        "items": 10,
        "randomizations": 3,
        "limit": 0.5,
        "maps_depend_on_weights": True,
        "head": {"n": 10, "mean": 0.1, "low": 0.0, "high": 0.2},
        "top": {"n": 10, "mean": 0.05, "low": 0.0, "high": 0.1},
    },
    "covered": {
        "items": 10,
        "area": 0.2,
        "hottest": {"mean": 0.3},
        "elsewhere": {"mean": 0.1},
        "difference": {"mean": 0.2, "low": 0.1, "high": 0.3},
    },
    "calibration": {},
}


def changed(**sections):
    return {name: {**found, **sections.get(name, {})} for name, found in REPORT.items()}


def test_findings_claim_what_intervals_allow_and_no_more():
    border, sanity, covered = findings(REPORT)
    assert "36.0% of the area and holds 20.0% of the heat (95%: 18.0% to 22.0%): less" in border
    assert "maps change when" in sanity
    assert "so the maps show what the model needs" in covered
    assert warnings(REPORT) == []
    unsure = changed(
        looking={"border": {"area": 0.36, "heat": {"mean": 0.35, "low": 0.3, "high": 0.4}}},
        covered={"difference": {"mean": 0.1, "low": -0.1, "high": 0.3}},
    )
    border, _, covered = findings(unsure)
    assert "not told from that of" in border
    assert "it is not shown that" in covered


def test_what_must_not_be_overlooked_is_a_warning():
    same = {"n": 10, "mean": 0.9, "low": 0.8, "high": 0.95}
    bad = changed(
        sanity={"maps_depend_on_weights": False, "head": same},
        looking={
            "without_heat": 6,
            "border": {"area": 0.36, "heat": {"mean": 0.7, "low": 0.6, "high": 0.8}},
        },
    )
    first, second, third = warnings(bad)
    assert "hardly depend on what the model learned" in first
    assert "0.90" in first
    assert "6 of 10 heat maps are empty" in second
    assert "looks at the pictures' borders" in third
