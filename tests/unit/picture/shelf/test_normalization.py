"""Normalization is fitted on train alone, from exact counts, and says what it did to each split."""

import json
import logging

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from pipeline.ground.errors import DataError, IntegrityError
from pipeline.picture.read.decode import DecodeSpec
from pipeline.picture.shelf.histograms import count_bytes, count_values
from pipeline.picture.shelf.normalization import (
    Normalization,
    fit,
    load_pretrained,
    measure,
    normalized_levels,
)
from pipeline.picture.shelf.params import NormalizeParams
from pipeline.store.store import Store
from stages.normalize import main
from tests.support.inmemory import store_of
from tests.support.unchecked import unchecked

IMAGENET = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}


def make_store(pictures, splits):
    """A store in memory, of given uint8 [N, 3, H, W]."""
    index = pd.DataFrame({"split": splits})
    spec = DecodeSpec(pictures.shape[-1], "squash", "bilinear", (0, 0, 0))
    return store_of(pictures, index, spec)


def counts_of(*channels):
    return np.stack([count_bytes(np.array(each, dtype=np.uint8)) for each in channels])


TRAIN = counts_of([0, 255], [10, 20, 30], [100, 100, 100, 200])


def noise(count, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (count, 3, 8, 8), dtype=np.uint8)


@pytest.mark.parametrize(
    ("mode", "mean", "std"),
    [
        ("minmax", [0, 10, 100], [255, 20, 100]),
        ("dataset", [127.5, 20, 125], [127.5, np.sqrt(200 / 3), np.sqrt(1875)]),
    ],
)
def test_known_answers(mode, mean, std):
    fitted = fit(mode, TRAIN, where="store")
    assert np.array(fitted.mean) * 255 == pytest.approx(mean, rel=1e-12)
    assert np.array(fitted.std) * 255 == pytest.approx(std, rel=1e-12)
    assert fitted.mode == mode


def test_pretrained_takes_what_the_weights_ask_for():
    asked = Normalization("pretrained", 1 / 255, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    assert fit("pretrained", TRAIN, pretrained=asked, where="store") is asked


def test_the_efficientnet_lite_scaling_is_x_minus_127_over_128():
    asked = Normalization("pretrained", 1 / 255, (127 / 255,) * 3, (128 / 255,) * 3)
    expected = (np.arange(256) - 127) / 128
    assert normalized_levels(asked)[1] == pytest.approx(expected, abs=1e-6)


def test_multiplier_and_offset_are_the_formula():
    fitted = fit("dataset", TRAIN, where="store")
    x = 77
    expected = [(x / 255 - m) / s for m, s in zip(fitted.mean, fitted.std, strict=True)]
    assert fitted.multiplier.dtype == fitted.offset.dtype == np.float32
    assert x * fitted.multiplier + fitted.offset == pytest.approx(expected, abs=1e-6)


def test_dataset_gives_mean_0_and_deviation_1_on_train():
    counts = {"train": counts_of(*noise(20).transpose(1, 0, 2, 3).reshape(3, -1))}
    fitted = fit("dataset", counts["train"], where="store")
    after = measure(counts, fitted, 1.0)["train"]["after"]
    assert after["mean"] == pytest.approx([0, 0, 0], abs=1e-6)
    assert after["std"] == pytest.approx([1, 1, 1], abs=1e-6)


def test_minmax_brings_train_to_0_1_and_leaves_others_outside():
    counts = {"train": TRAIN, "val": counts_of([0, 255], [0, 50], [255])}
    report = measure(counts, fit("minmax", TRAIN, where="store"), 99.0)
    assert report["train"]["after"]["min"] == pytest.approx([0, 0, 0], abs=1e-6)
    assert report["train"]["after"]["max"] == pytest.approx([1, 1, 1], abs=1e-6)
    assert report["val"]["after"]["min"] == pytest.approx([0, -0.5, 1.55], abs=1e-6)
    assert report["val"]["after"]["max"] == pytest.approx([1, 2, 1.55], abs=1e-6)
    assert report["val"]["below_train"] == [0, 1, 0]
    assert report["val"]["above_train"] == [0, 1, 1]


def test_measures_before_are_those_of_numpy():
    pictures = noise(9)
    counts = count_values(make_store(pictures, ["train"] * 9))
    before = measure(counts, fit("minmax", counts["train"], where="s"), 1.0)["train"]["before"]
    flat = pictures.transpose(1, 0, 2, 3).reshape(3, -1).astype(np.float64)
    assert before["mean"] == pytest.approx(flat.mean(axis=1).tolist(), rel=1e-12)
    assert before["std"] == pytest.approx(flat.std(axis=1).tolist(), rel=1e-12)
    assert before["min"] == flat.min(axis=1).tolist()
    assert before["max"] == flat.max(axis=1).tolist()


def test_counts_are_of_each_split_and_channel():
    pictures = noise(200)
    splits = ["train", "val", "train", "test"] * 50
    counts = count_values(make_store(pictures, splits))
    for split, table in counts.items():
        chosen = pictures[np.array(splits) == split]
        for channel in range(3):
            expected = np.bincount(chosen[:, channel].ravel(), minlength=256)
            assert np.array_equal(table[channel], expected)


def test_val_and_test_do_not_touch_the_fit():
    pictures, splits = noise(30), ["train"] * 10 + ["val"] * 10 + ["test"] * 10
    other = pictures.copy()
    other[10:] //= 3
    fits = {
        fit("dataset", count_values(make_store(each, splits))["train"], where="s")
        for each in (pictures, other)
    }
    assert len(fits) == 1


def test_the_order_of_pictures_does_not_matter():
    pictures = noise(100)
    order = np.random.default_rng(1).permutation(100)
    one, other = (
        fit("dataset", count_values(make_store(each, ["train"] * 100))["train"], where="s")
        for each in (pictures, pictures[order])
    )
    assert one == other


def test_moments_of_two_hundred_thousand_large_pictures_stay_exact():
    counts = np.zeros((3, 256), dtype=np.int64)
    counts[:, 254] = counts[:, 255] = 200_000 * 4096**2 // 2
    fitted = fit("dataset", counts, where="store")
    assert fitted.mean[0] * 255 == pytest.approx(254.5, rel=1e-15)
    assert fitted.std[0] * 255 == pytest.approx(0.5, rel=1e-15)


@pytest.mark.parametrize("mode", ["minmax", "dataset", "pretrained"])
def test_a_constant_channel_is_refused(mode):
    constant = counts_of([1, 2], [7, 7], [1, 2])
    with pytest.raises(DataError, match=r"the green channel must not be constant .*, got 7"):
        fit(mode, constant, where="store")


def test_a_train_split_without_pictures_is_refused():
    with pytest.raises(DataError, match="store: the train split has no pictures"):
        fit("minmax", np.zeros((3, 256), dtype=np.int64), where="store")


def test_a_split_without_pictures_is_reported_as_such():
    counts = {"train": TRAIN, "test": np.zeros((3, 256), dtype=np.int64)}
    assert measure(counts, fit("minmax", TRAIN, where="s"), 1.0)["test"] == {
        "values_per_channel": 0
    }


@pytest.mark.parametrize(
    ("drift_warn", "warned"), [(0.9, ["red", "green"]), (1.5, ["green"]), (2.5, [])], ids=str
)
def test_a_split_far_from_train_is_warned_of(caplog, drift_warn, warned):
    train = counts_of([0, 2], [0, 2], [0, 2])
    counts = {"train": train, "val": counts_of([2], [3], [1])}
    with caplog.at_level(logging.WARNING):
        report = measure(counts, fit("minmax", train, where="s"), drift_warn)
    assert report["val"]["drift"] == [1.0, 2.0, 0.0]
    assert [record.args[1] for record in caplog.records] == warned
    assert all("the mean of val in the" in record.getMessage() for record in caplog.records)


def test_drift_exactly_at_the_limit_is_not_warned_of(caplog):
    train = counts_of([0, 2], [0, 2], [0, 2])
    measure({"train": train, "val": train[::-1]}, fit("minmax", train, where="s"), 0.0)
    assert not caplog.records


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"mean": [0.5, float("nan"), 0.5]}, "mean"),
        ({"mean": [0.5, 0.5]}, "mean"),
        ({"mean": None}, "mean"),
        ({"mean": [127, 127, 127]}, "mean"),
        ({"mean": ["a", "b", "c"]}, "mean"),
        ({"std": [0.5, float("inf"), 0.5]}, "std"),
        ({"std": [0.5, 0, 0.5]}, "std"),
        ({"std": [0.5, -0.1, 0.5]}, "std"),
        ({"std": [128, 128, 128]}, "std"),
    ],
    ids=str,
)
def test_a_bad_backbone_record_is_refused_and_named(tmp_path, change, field):
    record = tmp_path / "backbone.json"
    record.write_text(json.dumps(IMAGENET | change))
    with pytest.raises(IntegrityError, match=rf"backbone\.json: {field}: must be"):
        load_pretrained(record)


@pytest.mark.parametrize("content", ["[]", "{}", "3", "nul"])
def test_a_foreign_backbone_record_is_refused(tmp_path, content):
    (tmp_path / "backbone.json").write_text(content)
    with pytest.raises(IntegrityError, match=r"backbone\.json"):
        load_pretrained(tmp_path / "backbone.json")


def test_it_survives_json(tmp_path):
    fitted = fit("dataset", TRAIN, where="store")
    path = tmp_path / "normalization.json"
    path.write_text(json.dumps(fitted.to_dict() | {"splits": {}}))
    assert Normalization.load(path) == fitted


@pytest.mark.parametrize(
    "change",
    [
        {"mode": "zscore"},
        {"scale": 0},
        {"scale": float("nan")},
        {"std": [1, 1, 0]},
        {"mean": [1, 1, float("inf")]},
        {"mean": [1, 1]},
        {"std": None},
    ],
    ids=str,
)
def test_a_bad_normalization_file_is_refused_and_named(tmp_path, change):
    path = tmp_path / "normalization.json"
    path.write_text(json.dumps(fit("minmax", TRAIN, where="s").to_dict() | change))
    with pytest.raises(IntegrityError, match=r"normalization\.json: is no normalization record"):
        Normalization.load(path)


def test_a_missing_normalization_file_is_missing_data(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        Normalization.load(tmp_path / "normalization.json")


@pytest.mark.parametrize("change", [{"mode": "z"}, {"drift_warn": -1.0}, {"clip": True}], ids=str)
def test_bad_params_cannot_exist(change):
    with pytest.raises(ValidationError):
        NormalizeParams.model_validate({"mode": "minmax", "drift_warn": 0.1} | change)


def test_the_stage_writes_the_same_bytes_twice(tmp_path, monkeypatch):
    pictures = noise(12)
    store = make_store(pictures, ["train"] * 6 + ["val"] * 3 + ["test"] * 3)
    monkeypatch.setattr(Store, "open", lambda folder: store)
    (tmp_path / "backbone.json").write_text(json.dumps(IMAGENET))
    written = []
    for name in ("one", "two"):
        main(
            unchecked(NormalizeParams(mode="pretrained", drift_warn=0.5)),
            store=tmp_path / "store",
            backbone=tmp_path / "backbone.safetensors",
            record=tmp_path / "backbone.json",
            normalization=tmp_path / name / "normalization.json",
            plots=tmp_path / name / "plots",
        )
        files = sorted(path for path in (tmp_path / name).rglob("*") if path.is_file())
        written.append({path.name: path.read_bytes() for path in files})
    assert list(written[0]) == ["normalization.json", "after.png", "before.png"]
    assert written[0] == written[1]
    report = json.loads(written[0]["normalization.json"])
    assert report["mean"] == IMAGENET["mean"]
    assert list(report["splits"]) == ["test", "train", "val"]
    assert report["splits"]["val"]["values_per_channel"] == 3 * 64
