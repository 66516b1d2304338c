"""The recipe is found on train alone, overrides nobody, and is the same for the same data."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from pipeline.ground.errors import DataError
from pipeline.ground.files import canonical_json, sha256_file
from pipeline.ground.params import Unchecked
from pipeline.modality.sections import candidates
from pipeline.model.params import FeaturesParams
from pipeline.recipe.run import Sections, find_recipe
from pipeline.recipe.sample import ITEMS, Bench, draw
from tests.support.trainable import QUIET, SECTIONS, cpu, make_sources

RAW = {
    "transform": {
        "size_px": 32,
        "resize": "auto",
        "interpolation": "bilinear",
        "background": [0, 0, 0],
        "white16": 65535,
        "shard_rows": 25,
    },
    "normalize": {"mode": "minmax", "drift_warn": 1.0},
    "augment": SECTIONS["augment"] | dict.fromkeys(("hflip", "vflip", "transpose"), "auto"),
}
FEATURES = FeaturesParams(
    pooled=True, cut="none", views=1, pooling="mean+max", batch_size=16, seed=1
)


def sections(**given):
    """Give the sections of params.yaml, with some values by `section__key`."""
    raw = {name: dict(values) for name, values in RAW.items()}
    for path, value in given.items():
        section, key = path.split("__")
        raw[section][key] = value
    return Sections(*(Unchecked(raw, name, Path("params.yaml")) for name in RAW))


def by_side(number, pixels):
    """Light up the left part or the right one."""
    side = slice(0, 12) if number % 2 else slice(-12, None)
    pixels[8:40, side] += 120


def by_border(number, pixels):
    """Tell the class in what every crop of a wide picture cuts off, at both ends."""
    if number % 2:
        pixels[:, :6] += 150
        pixels[:, -6:] += 150


def make_bench(folder, draw_class, *, items=80, shape=(48, 48)):
    sources = make_sources(folder / "sources", items=20)
    raw = folder / "raw"
    raw.mkdir()
    generator, rows = np.random.default_rng(0), []
    for number in range(items):
        pixels = generator.normal(70, 20, (*shape, 3))
        draw_class(number, pixels)
        path = raw / f"{number:03d}.png"
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(path)
        found = {"path": path.name, "id": sha256_file(path), "group": None, "weight": 1.0}
        split = ("train", "train", "train", "train", "val", "test")[(number // 2) % 6]
        rows.append(found | {"label": f"class {number % 2}", "split": split})
    table = pd.DataFrame(rows)
    for name in table.loc[table["split"] != "train", "path"]:
        (raw / name).unlink()  # so nobody can look at them
    weights = (sources.backbone, sources.record)
    return Bench(draw(table), "picture", raw, *weights, FEATURES, cpu(), QUIET)


def found_by(bench, own=None, task="classification"):
    own = own or sections()
    return find_recipe(bench, own, own.open(candidates("picture")), task=task)


@pytest.fixture(scope="module")
def sided(tmp_path_factory):
    return make_bench(tmp_path_factory.mktemp("sided"), by_side)


@pytest.fixture(scope="module")
def wide(tmp_path_factory):
    return make_bench(tmp_path_factory.mktemp("wide"), by_border, shape=(24, 96))


def test_a_flip_that_changes_the_class_is_refused_and_another_is_allowed(sided):
    record, table = found_by(sided)
    assert record["choices"]["augment.hflip"] == 0.0
    assert record["choices"]["augment.vflip"] == 0.5
    flipped = next(row for row in table if (row["param"], row["value"]) == ("augment.hflip", 0.5))
    assert flipped["difference"] > 10 * flipped["error"]
    assert record["items"] == len(sided.rows) < 80


def test_a_crop_that_cuts_the_class_off_is_not_taken(wide):
    record, table = found_by(wide)
    losses = {row["value"]: row["loss"] for row in table if row["param"] == "transform.resize"}
    assert set(losses) == {"squash", "crop", "center", "pad"}
    assert losses["crop"] > 2 * losses["squash"] < losses["center"] / 2
    assert record["choices"]["transform.resize"] in ("squash", "pad")


def test_the_same_data_give_the_same_bytes(sided):
    first, again = found_by(sided), found_by(sided)
    assert canonical_json(first[0]) == canonical_json(again[0])
    assert first[1] == again[1]


def test_what_the_user_gives_is_not_tried(sided):
    given = sections(augment__hflip=0.5, transform__resize="crop", augment__transpose=0.0)
    record, table = found_by(sided, given)
    assert set(record["choices"]) == {"augment.vflip"}
    assert {row["param"] for row in table} == {"augment.vflip"}


def test_where_nothing_is_auto_nothing_is_computed(sided):
    given = sections(
        augment__hflip=0.5, augment__vflip=0.5, augment__transpose=0.0, transform__resize="crop"
    )
    record, table = find_recipe(sided, given, given.open(candidates("picture")), task="regression")
    assert (record["choices"], table) == ({}, [])


def test_square_pictures_are_told_to_give_the_same_rows(sided):
    _, table = found_by(
        sided, sections(augment__hflip=0.5, augment__vflip=0.5, augment__transpose=0)
    )
    rows = {row["value"]: row for row in table}
    assert rows["crop"]["loss"] == rows["squash"]["loss"] == rows["pad"]["loss"]
    assert rows["crop"]["error"] == 0


def test_one_class_says_what_to_do(sided):
    lonely = Bench(**{**vars(sided), "rows": sided.rows.assign(label="one")})
    with pytest.raises(DataError, match=r"give values in params\.yaml in place of `auto`"):
        found_by(lonely)


def test_the_sample_changes_little_when_data_are_added():
    def table(count):
        return pd.DataFrame({"id": [f"item {n}" for n in range(count)], "split": "train"})

    small, large = draw(table(2000)), draw(table(2020))
    assert len(small) == len(large) == ITEMS
    assert len(set(small["id"]) & set(large["id"])) > 0.98 * ITEMS
