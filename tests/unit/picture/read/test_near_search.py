"""Thumbnails of one picture find each other, those of two do not, and nothing is compared twice."""

import io

import numpy as np
import pytest
from PIL import Image

from pipeline.picture.read import near_search as alike
from pipeline.picture.read.near_search import find_alike
from pipeline.picture.read.thumbnail_match import TURNS, Thumbnails
from tests.support.scenes import brightness, scene, small

COPIES = {
    "encoded": lambda picture: encoded(picture, 50),
    "darker": brightness(0.7),
    "less contrast": lambda picture: picture.point(lambda value: 60 + value // 2),
    "smaller": lambda picture: picture.resize((60, 45), Image.Resampling.BILINEAR),
    "larger": lambda picture: picture.resize((311, 97), Image.Resampling.BICUBIC),
    "gray": lambda picture: picture.convert("L"),
}
TURNED = {
    "mirrored": Image.Transpose.FLIP_LEFT_RIGHT,
    "flipped": Image.Transpose.FLIP_TOP_BOTTOM,
    "half turn": Image.Transpose.ROTATE_180,
    "transposed": Image.Transpose.TRANSPOSE,
    "right turn": Image.Transpose.ROTATE_270,
    "left turn": Image.Transpose.ROTATE_90,
    "transversed": Image.Transpose.TRANSVERSE,
}


def encoded(picture, quality):
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=quality)
    return Image.open(stream)


def find(*pictures, correlation=0.997, turns=False):
    thumbnails = [each if isinstance(each, np.ndarray) else small(each) for each in pictures]
    measured = Thumbnails.measure(np.stack(thumbnails))
    numbers = np.arange(len(thumbnails))
    return find_alike(measured, numbers, numbers * 0, correlation=correlation, turns=turns)


def pairs(found):
    return list(zip(found.pairs["first"], found.pairs["second"], strict=True))


@pytest.mark.parametrize("change", COPIES.values(), ids=COPIES)
def test_a_copy_is_found_among_others(change):
    found = find(*map(scene, range(20)), change(scene(7)))
    assert pairs(found) == [(7, 20)]
    assert found.pairs["correlation"].between(0.997, 1.0).all()


def test_unrelated_pictures_are_not_alike():
    assert pairs(find(*map(scene, range(300)), correlation=0.9)) == []


def test_a_spot_tells_two_pictures_apart_although_they_correlate():
    spotted = scene(3).convert("RGB")
    spotted.paste(
        (255, 255, 255) if spotted.getpixel((40, 30))[0] < 128 else (0, 0, 0), (41, 32, 44, 35)
    )
    both = np.stack([small(scene(3)), small(spotted)])
    zero, one = np.array([0]), np.array([1])
    assert Thumbnails.measure(both).correlation(zero, one, 0)[0] > 0.99
    assert pairs(find(*both, correlation=0.99)) == []


@pytest.mark.parametrize("name", TURNED)
@pytest.mark.parametrize("is_later", [False, True])
def test_turned_copies_are_found_on_request_and_the_turn_is_told(name, is_later):
    turned = scene(5).transpose(TURNED[name])
    pictures = [scene(1), scene(5), turned] if is_later else [scene(1), turned, scene(5)]
    assert pairs(find(*pictures)) == []
    found = find(*pictures, turns=True)
    assert pairs(found) == [(1, 2)]
    inverse = {"right turn": "left turn", "left turn": "right turn"}
    told = name if is_later else inverse.get(name, name)
    assert TURNS[found.pairs["turn"][0]] == told


def test_a_pair_that_is_alike_in_several_ways_counts_once_in_the_best():
    half = scene(2).crop((0, 0, 48, 72))
    symmetric = Image.new("RGB", (96, 72))
    symmetric.paste(half, (0, 0))
    symmetric.paste(half.transpose(Image.Transpose.FLIP_LEFT_RIGHT), (48, 0))
    found = find(symmetric, brightness(0.9)(symmetric), turns=True)
    assert len(found.pairs) == 1
    assert TURNS[found.pairs["turn"][0]] in ("none", "mirrored")


def test_the_search_finds_what_comparing_all_with_all_finds():
    shares = np.random.default_rng(4).uniform(0.0, 0.2, 400)
    mixed = [
        (1.0 - share) * small(scene(number // 4)) + share * small(scene(1000 + number))
        for number, share in enumerate(shares)
    ]
    thumbnails = np.rint(np.stack(mixed)).astype(np.uint8)
    found = find(*thumbnails, correlation=0.99)
    first, second = np.triu_indices(400, 1)
    measured = Thumbnails.measure(thumbnails)
    correlations = np.corrcoef(thumbnails.reshape(400, -1).astype(float))[first, second]
    is_alike = (correlations >= 0.99) & (
        measured.largest_difference(first, second, 0) <= 3.0 * np.sqrt(0.02)
    )
    assert pairs(found) == list(zip(first[is_alike], second[is_alike], strict=True))
    assert 100 < len(found.pairs) < 600
    assert np.allclose(found.pairs["correlation"], correlations[is_alike])


def test_equal_thumbnails_hang_on_the_first():
    one, other = small(scene(1)), small(brightness(0.8)(scene(1)))
    found = find(one, other, one, one, other)
    assert pairs(found) == [(0, 1), (0, 2), (0, 3), (1, 4)]
    assert list(found.pairs["correlation"] == 1.0) == [False, True, True, True]


def test_pictures_without_contrast_are_left_out_and_counted():
    flat = [np.full((32, 32), value, dtype=np.uint8) for value in (0, 9, 255)]
    dotted = flat[0].copy()
    dotted[3, 3] = 10
    found = find(*flat, dotted, scene(1))
    assert (pairs(found), found.flat) == ([], 4)
    assert (pairs(find(*flat)), find(*flat).flat) == ([], 3)


def test_few_or_none_are_no_special_case():
    none = Thumbnails.measure(np.zeros((0, 32, 32), np.uint8))
    none = find_alike(none, np.arange(0), np.arange(0), correlation=0.997, turns=True)
    assert (pairs(none), none.flat, none.crowded) == ([], 0, 0)
    assert pairs(find(scene(1), turns=True)) == []


@pytest.mark.parametrize(("rounds", "crowded", "most"), [(4, 99, 99), (0, 100, 800)])
def test_a_crowd_is_bounded_told_and_still_connected(monkeypatch, rounds, crowded, most):
    monkeypatch.setattr(alike, "NEAREST", 8)
    monkeypatch.setattr(alike, "_ROUNDS", rounds)
    generator = np.random.default_rng(6)
    crowd = [
        np.clip(small(scene(1)) + generator.integers(-2, 3, (32, 32)), 0, 255).astype(np.uint8)
        for _ in range(100)
    ]
    found = find(*crowd, scene(2))
    assert found.crowded == crowded
    assert len(found.pairs) <= most
    reached = {0}
    for _ in range(100):
        reached |= {b for a, b in pairs(found) if a in reached}
        reached |= {a for a, b in pairs(found) if b in reached}
    assert reached == set(range(100))


def test_two_crowds_at_one_place_are_two():
    generator = np.random.default_rng(7)
    rows, columns = np.indices((32, 32))
    crowds = [
        np.clip(small(scene(1)) // 2 + 40 + pattern + generator.integers(-2, 3, (32, 32)), 0, 255)
        for pattern in (40 * ((rows + columns) % 2), 40 * (columns % 2))
        for _ in range(300)
    ]
    found = find(*[each.astype(np.uint8) for each in crowds])
    ends = found.pairs[["first", "second"]].to_numpy()
    assert ((ends < 300).sum(axis=1) != 1).all()
    assert 590 <= found.crowded < 600
    assert len(ends) <= 2 * 600
