"""Augmentation changes each picture by its own seed alone, keeps its type, and is off when off."""

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from pipeline.picture.net.augment import augment_batch, orient, spread_orientations
from pipeline.picture.net.params import AugmentParams

OFF = {
    "hflip": 0.0,
    "vflip": 0.0,
    "transpose": 0.0,
    "crop_min_frac": 1.0,
    "brightness": 0.0,
    "contrast": 0.0,
}
ALL = {
    "hflip": 0.5,
    "vflip": 0.5,
    "transpose": 0.5,
    "crop_min_frac": 0.5,
    "brightness": 0.3,
    "contrast": 0.3,
}
EACH = [
    {"hflip": 0.5},
    {"vflip": 0.5},
    {"transpose": 0.5},
    {"crop_min_frac": 0.5},
    {"brightness": 0.5},
    {"contrast": 0.5},
]
SEEDS = range(1000, 1032)


def params(**changes):
    return AugmentParams.model_validate(OFF | changes)


@pytest.fixture
def images():
    rng = np.random.default_rng(0)
    return torch.from_numpy(rng.integers(0, 256, (32, 3, 16, 16), dtype=np.uint8))


def test_with_everything_off_nothing_happens(images):
    assert torch.equal(augment_batch(images, params(), SEEDS), images)


def test_flips_are_exact(images):
    assert torch.equal(augment_batch(images, params(hflip=1.0), SEEDS), images.flip(-1))
    assert torch.equal(augment_batch(images, params(vflip=1.0), SEEDS), images.flip(-2))
    both = augment_batch(images, params(hflip=1.0, vflip=1.0), SEEDS)
    assert torch.equal(both, images.flip(-1, -2))


def test_transposing_swaps_rows_and_columns(images):
    changed = augment_batch(images, params(transpose=1.0), SEEDS)
    assert torch.equal(changed, images.transpose(-1, -2))


def test_flips_and_transposes_reach_all_eight_orientations():
    image = torch.arange(4, dtype=torch.uint8).reshape(1, 1, 2, 2).expand(200, 3, 2, 2)
    changed = augment_batch(image, params(hflip=0.5, vflip=0.5, transpose=0.5), range(200))
    seen, counts = np.unique(changed[:, 0].reshape(200, 4).numpy(), axis=0, return_counts=True)
    assert len(seen) == 8
    assert counts.min() > 10


@pytest.mark.parametrize("change", EACH[:3], ids=str)
def test_probabilities_are_kept(change):
    image = torch.arange(4, dtype=torch.uint8).reshape(1, 1, 2, 2).expand(2000, 3, 2, 2)
    rare = dict.fromkeys(change, 0.2)
    changed = augment_batch(image, params(**rare), range(2000))
    share = (changed != image).any(dim=(1, 2, 3)).double().mean().item()
    assert abs(share - 0.2) < 0.04


@pytest.mark.parametrize("change", [*EACH, ALL], ids=str)
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32], ids=str)
def test_a_picture_does_not_depend_on_its_batch(images, change, dtype):
    images = images.to(dtype)
    together = augment_batch(images, params(**change), SEEDS)
    assert not torch.equal(together, images)
    order = torch.from_numpy(np.random.default_rng(1).permutation(32))
    shuffled = augment_batch(images[order], params(**change), [SEEDS[at] for at in order])
    assert torch.equal(shuffled, together[order])
    for at in (0, 13, 31):
        alone = augment_batch(images[at : at + 1], params(**change), [SEEDS[at]])
        assert torch.equal(alone[0], together[at])


@pytest.mark.parametrize("change", [*EACH, ALL], ids=str)
def test_the_same_seeds_give_the_same_pictures_and_others_do_not(images, change):
    first = augment_batch(images, params(**change), SEEDS)
    assert torch.equal(first, augment_batch(images, params(**change), SEEDS))
    assert not torch.equal(first, augment_batch(images, params(**change), range(32)))


@pytest.mark.parametrize("change", [*EACH, ALL], ids=str)
def test_type_and_shape_stay_and_the_input_is_not_changed(images, change):
    before = images.clone()
    changed = augment_batch(images, params(**change), SEEDS)
    assert (changed.dtype, changed.shape) == (images.dtype, images.shape)
    assert torch.equal(images, before)


def test_floats_and_bytes_agree_to_rounding(images):
    as_bytes = augment_batch(images, params(**ALL), SEEDS).double()
    as_floats = augment_batch(images.float(), params(**ALL), SEEDS).double()
    assert (as_bytes - as_floats).abs().max() < 2.0


def test_a_crop_of_a_ramp_stays_a_ramp_within_its_range():
    ramp = torch.arange(0, 256, 4).float().expand(64, 3, 64, 64)
    changed = augment_batch(ramp, params(crop_min_frac=0.5), range(64))
    steps = changed.diff(dim=-1)
    assert steps.min() >= 0
    assert changed.min() >= 0
    assert changed.max() <= 252
    spans = changed[:, 0, 0, -1] - changed[:, 0, 0, 0]
    assert spans.min() < 150
    assert spans.max() > 200
    assert (changed.diff(dim=-2) == 0).all(), "rows of a horizontal ramp must stay equal"


def test_crops_reach_every_corner():
    image = torch.zeros(1, 3, 8, 8)
    corners = [(0, 0), (0, 7), (7, 0), (7, 7)]
    for row, column in corners:
        image[0, :, row, column] = 255
    changed = augment_batch(image.expand(900, 3, 8, 8), params(crop_min_frac=0.5), range(900))
    for row, column in corners:
        # Sides of 4 to 8 pixels are equally likely, and so are their places.
        expected = sum(1 / places**2 for places in (1, 2, 3, 4, 5)) / 5
        share = (changed[:, 0, row, column] == 255).double().mean().item()
        assert share == pytest.approx(expected, abs=0.06)


def test_brightness_scales_all_values():
    image = torch.full((100, 3, 4, 4), 100, dtype=torch.uint8)
    changed = augment_batch(image, params(brightness=0.2), range(100))
    assert (changed == changed[:, :1, :1, :1]).all()
    assert changed.min() >= 80
    assert changed.max() <= 120
    assert changed.min() < 85
    assert changed.max() > 115


def test_contrast_keeps_the_mean_and_scales_the_distance_to_it():
    image = torch.full((100, 3, 4, 4), 80.0)
    image[:, :, :2] = 120.0
    changed = augment_batch(image, params(contrast=0.5), range(100))
    means = changed.mean(dim=(1, 2, 3))
    spans = changed[:, 0, 0, 0] - changed[:, 0, 3, 0]
    assert (means - 100).abs().max() < 1e-3
    assert 20 <= spans.min() < 25
    assert 55 < spans.max() <= 60


def test_brightness_and_contrast_together_are_one_after_the_other():
    image = torch.full((50, 3, 4, 4), 80.0)
    image[:, :, :2] = 120.0
    both, bright, rich = (
        augment_batch(image, params(**change), range(50))
        for change in ({"brightness": 0.2, "contrast": 0.2}, {"brightness": 0.2}, {"contrast": 0.2})
    )
    assert torch.allclose(both, rich * (bright / image), atol=1e-3)


def test_values_stay_within_a_byte():
    image = torch.full((50, 3, 4, 4), 255, dtype=torch.uint8)
    image[:, :, 0] = 0
    changed = augment_batch(image, params(brightness=1.0, contrast=1.0), range(50))
    assert changed[:, :, 0].max() <= 255
    brightest = augment_batch(image[:, :, 1:3, :2], params(brightness=1.0), range(50))
    assert (brightest == 255).any(), "what exceeds a byte is clipped, not wrapped around"
    assert (brightest >= 128).double().mean() > 0.6


def test_neighboring_seeds_have_unrelated_streams():
    image = torch.full((4096, 3, 2, 2), 128.0)
    seeds = [(seed * 0x9E3779B97F4A7C15) % 2**64 for seed in range(4096)]
    for each in (range(4096), seeds):
        levels = augment_batch(image, params(brightness=0.5), list(each))[:, 0, 0, 0].numpy()
        assert abs(np.corrcoef(levels[:-1], levels[1:])[0, 1]) < 0.06
        assert abs(levels.mean() - 128) < 3


def test_the_largest_seeds_are_taken(images):
    seeds = [2**64 - 1 - at for at in range(32)]
    assert augment_batch(images, params(**ALL), seeds).shape == images.shape


def test_golden_draws():
    """The stream is part of every training result: it must never move."""
    image = torch.full((4, 3, 2, 2), 100.0)
    changed = augment_batch(image, params(brightness=0.5), [0, 1, 2, 2**63 - 1])
    # From SplitMix64 in Python's own integers: 100 * (0.5 + the seventh number of each stream).
    expected = [67.386787, 95.576931, 139.337636, 58.220818]
    assert changed[:, 0, 0, 0].tolist() == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize(
    ("shape", "count", "text"),
    [((4, 3, 8, 8), 3, "need as many seeds"), ((4, 3, 8, 6), 4, "must be square, got 8 x 6")],
    ids=["seeds", "shape"],
)
def test_wrong_calls_are_refused(shape, count, text):
    with pytest.raises(ValueError, match=text):
        augment_batch(torch.zeros(shape), params(), range(count))


def test_an_empty_batch_is_fine():
    assert augment_batch(torch.zeros(0, 3, 8, 8), params(**ALL), []).shape == (0, 3, 8, 8)


@pytest.mark.parametrize(
    "change",
    [{"hflip": 1.5}, {"vflip": -0.1}, {"crop_min_frac": 0.0}, {"contrast": 2.0}, {"mixup": 0.1}],
    ids=str,
)
def test_bad_params_cannot_exist(change):
    with pytest.raises(ValidationError):
        params(**change)


def spread(params, views):
    return np.stack(
        [spread_orientations(params, range(500), view=view, views=views) for view in range(views)]
    )


def test_eight_views_take_all_eight_orientations():
    codes = spread(params(hflip=0.5, vflip=0.5, transpose=0.5), 8)
    assert {tuple(sorted(each)) for each in codes.T} == {tuple(range(8))}
    assert (codes[0] == 0).all()
    assert len({tuple(each) for each in codes.T}) > 400  # each picture in an order of its own


def test_fewer_views_differ_and_keep_the_probabilities():
    codes = spread(params(hflip=0.5, vflip=0.5, transpose=0.5), 3)
    assert all(len(set(each)) == 3 for each in codes.T)
    shares = np.bincount(codes.ravel(), minlength=8) / codes.size
    assert np.abs(shares - 1 / 8).max() < 0.02


def test_what_has_no_chance_is_never_a_view():
    assert set(spread(params(hflip=0.5), 4).ravel()) == {0, 1}
    assert set(spread(params(vflip=1.0), 4).ravel()) == {2}
    assert set(spread(params(), 4).ravel()) == {0}


def test_given_orientations_are_taken_in_place_of_drawn_ones(images):
    codes = np.arange(len(images)) % 8
    given = augment_batch(images, params(), range(len(images)), codes)
    for image, code, turned in zip(images, codes, given, strict=True):
        assert torch.equal(turned, orient(image[None], int(code))[0])
