"""Poor pictures are told by the reason that a person would give."""

import numpy as np
import pandas as pd
import pytest
import torch
from torch.nn import functional

from pipeline.picture.explain.poor import Measures, find_poor, measure_pictures
from tests.support.inmemory import store_of
from tests.support.trainable import QUIET

SIDE = 32


def noise(low, high, seed):
    gray = np.random.default_rng(seed).integers(low, high, (SIDE, SIDE))
    return np.broadcast_to(gray, (3, SIDE, SIDE)).astype(np.uint8)


def blurred(picture):
    values = torch.from_numpy(picture.copy()).float()[None]
    soft = functional.avg_pool2d(values, 9, stride=1, padding=4, count_include_pad=False)
    soft = (soft - soft.min()) / (soft.max() - soft.min()) * 255
    return soft[0].numpy().astype(np.uint8)


def gradient(low, high):
    row = np.linspace(low, high, SIDE).astype(np.uint8)
    return np.broadcast_to(row, (3, SIDE, SIDE))


def store(pictures):
    index = pd.DataFrame({"path": [f"{n}.png" for n in range(len(pictures))]})
    spec = type("Spec", (), {"size_px": SIDE})()
    return store_of(np.stack(pictures), index, spec)


def test_every_kind_is_found_and_sharp_pictures_are_left_alone():
    halves = np.where(np.arange(SIDE) < SIDE // 2, 0, 200).astype(np.uint8)
    planted = {
        "constant": np.full((3, SIDE, SIDE), 90, dtype=np.uint8),
        "dark": noise(0, 30, 1),
        "bright": noise(225, 256, 2),
        "flat": noise(100, 120, 4),
        "empty": np.broadcast_to(halves, (3, SIDE, SIDE)),
        "blurred": blurred(noise(0, 256, 3)),
    }
    pictures = [*(noise(20 + n, 200, n) for n in range(30)), *planted.values()]
    found = find_poor(measure_pictures(store(pictures), QUIET), beyond=3.5)
    assert {each.row: each.kind for each in found} == dict(enumerate(planted, start=30))
    assert [each.score for each in found] == sorted((e.score for e in found), reverse=True)
    assert all(0.0 <= each.score <= 1.0 and each.detail for each in found)
    assert found[0].kind == "constant"


def test_measures_have_the_values_that_can_be_worked_out_by_hand():
    pictures = [np.full((3, SIDE, SIDE), 90, dtype=np.uint8), gradient(0, 248)]
    checker = np.indices((SIDE, SIDE)).sum(axis=0) % 2 * 255
    pictures.append(np.broadcast_to(checker, (3, SIDE, SIDE)).astype(np.uint8))
    found = measure_pictures(store(pictures), QUIET)
    assert found.entropy == pytest.approx([0.0, 5.0, 1.0], abs=1e-6)  # 1, 32 and 2 gray values
    assert found.std == pytest.approx([0.0, gradient(0, 248).std(), 127.5], rel=1e-3, abs=1e-3)
    assert found.sharpness[0] == pytest.approx(0.0, abs=1e-6)
    assert found.sharpness[1] < 1.0  # a slope has no edges
    assert found.sharpness[2] == pytest.approx((4 * 255.0) ** 2, rel=1e-3)


def test_pictures_that_are_all_alike_have_no_blurred_one():
    same = np.full(9, 50.0)
    measures = Measures(
        std=same, low=same, high=np.full(9, 200.0), entropy=np.full(9, 6.0), sharpness=same
    )
    assert find_poor(measures, beyond=3.5) == []
