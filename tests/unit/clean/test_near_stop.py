"""Near-duplicates: none is dropped over a label, and where many would be, cleaning stops first."""

import logging

import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageDraw

from pipeline.clean.near import find_near_duplicates
from pipeline.clean.near_report import PROOF, near_warnings, refuse_many_near
from pipeline.ground.errors import DataError
from tests.support.near import near_rule
from tests.support.rawfolder import by_path, clean_folder, write_labels
from tests.support.scenes import brightness, scene, small

RULE = near_rule("drop", correlation=0.997, turns=False, task="classification")


def table(*rows):
    """Make rows of (split, label, seed of the picture, number of copies, each a little darker)."""
    each = [
        (split, label, seed, 1.0 - n / 200)
        for split, label, seed, copies in rows
        for n in range(copies)
    ]
    return pd.DataFrame(
        {
            "path": [f"{at:03}" for at in range(len(each))],
            "split": [row[0] for row in each],
            "label": [row[1] for row in each],
            "sketch": [small(brightness(row[3])(scene(row[2]))).tobytes() for row in each],
        }
    )


def find(rows, rule=RULE):
    return find_near_duplicates(rows, rule, pd.Series(data=False, index=rows.index))


def test_pairs_of_two_labels_across_splits_stay_and_are_told():
    rows = table(("train", "good", 1, 3), ("test", "scratched", 1, 2))
    rows["sketch"] = [*rows["sketch"][:3], *table(("", "", 1, 8))["sketch"][6:]]
    near = find(rows)
    assert (list(near.dropped), len(near.leaks), near.leaks_left) == ([], 0, 0)
    assert len(near.doubtful) == 6
    assert near_warnings(near) == [
        "6 pairs of near-duplicates with two labels; first: 000 in train and 003 in test, 'good' "
        "and 'scratched'; 6 in two splits, where both stay"
    ]


def test_another_label_in_between_makes_no_cluster():
    # Two pictures that differ enough, and one of another label half way between them.
    ends = [np.asarray(small(scene(seed)), dtype=float) for seed in (1, 2)]
    steps = [
        np.rint(ends[0] + share * (ends[1] - ends[0])).astype(np.uint8)
        for share in (0.0, 0.08, 0.16)
    ]
    rows = pd.DataFrame(
        {
            "path": ["a", "b", "c", "d"],
            "split": ["train", "train", "test", "train"],
            "label": ["x", "y", "x", "x"],
            "sketch": [each.tobytes() for each in [*steps, small(scene(9))]],
        }
    )
    rule = near_rule("drop", correlation=0.995, turns=False, task="classification")
    assert list(find(rows, rule).dropped) == []
    assert [each.path for each in find(rows.assign(label="x"), rule).dropped] == ["a", "b"]


def test_equal_thumbnails_of_one_label_belong_together_whatever_stands_between():
    rows = table(
        *(
            (split, label, 1, 1)
            for split, label in (("train", "y"), ("train", "x"), ("test", "y"), ("test", "x"))
        ),
        ("train", "x", 2, 1),
        ("train", "y", 3, 1),
    )
    assert [each.path for each in find(rows).dropped] == ["000", "001"]


def test_in_a_crowd_of_two_labels_nothing_of_one_label_leaks():
    generator = np.random.default_rng(3)
    crowd = np.clip(small(scene(1)) + generator.integers(-3, 4, (240, 32, 32)), 0, 255)
    rows = pd.DataFrame(
        {
            "path": [f"{at:03}" for at in range(240)],
            "split": ["train", "train", "val", "test"] * 60,
            "label": [*"xxyyy"] * 48,
            "sketch": [each.astype(np.uint8).tobytes() for each in crowd],
        }
    )
    lone = table(("train", "x", 2, 1), ("train", "y", 3, 1)).assign(path=["x", "y"])
    near = find(pd.concat([rows, lone], ignore_index=True))
    assert near.crowded > 100
    assert {each.split for each in near.dropped} == {"train", "val"}
    assert len(near.dropped) == 180


def test_a_class_keeps_what_it_has_in_train_and_loses_the_rest():
    # A burst of four is all there is of class b.
    near = find(table(("train", "b", 1, 2), ("test", "b", 1, 2), ("train", "a", 2, 1)))
    assert [(each.path, each.split) for each in near.dropped] == [("002", "test"), ("003", "test")]
    assert all(each.detail.endswith("in train") for each in near.dropped)
    assert near.leaks_left == 0


@pytest.mark.parametrize(
    ("numbers", "dropped"),
    [
        pytest.param((1.0, 1.1), 1, id="near-numbers-are-one-label"),
        pytest.param((1.0, 9.0), 0, id="far-numbers-are-two-labels"),
    ],
)
def test_numbers_that_lie_far_apart_are_two_labels(numbers, dropped):
    rule = near_rule("drop", correlation=0.997, turns=False, task="regression")
    rows = table(("train", "5", 1, 1), ("test", "5", 1, 1), *(("train", "5", s, 1) for s in (2, 3)))
    rows["label"] = [str(numbers[0]), str(numbers[1]), "0.0", "10.0"]
    near = find(rows, rule)
    assert (len(near.dropped), len(near.doubtful)) == (dropped, 1 - dropped)


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        pytest.param(
            [("train", "a", 1, 30), ("test", "a", 1, 10), ("train", "b", 2, 1)],
            "10 of 10 items of the split 'test'",
            id="a-whole-class",
        ),
        pytest.param(
            [("train", "a", 1, 6), ("test", "a", 1, 2)]
            + [("train", "a", s, 1) for s in range(3, 20)],
            "6 of 23 items of the split 'train' \\(26%\\)",
            id="a-quarter-of-train",
        ),
        pytest.param(
            [("train", "a", 1, 6), ("test", "a", 1, 2), ("train", "a", 2, 1)]
            + [("train", "b", s, 1) for s in range(3, 33)],
            "6 of 9 items of the class 'a'",
            id="little-of-train-and-most-of-a-class",
        ),
        pytest.param(
            [("val", "a", 1, 2), ("test", "a", 1, 2), ("train", "a", 2, 1)],
            "2 of 2 items of the split 'val'",
            id="all-of-a-small-split",
        ),
    ],
)
def test_too_much_of_a_split_or_a_class_stops_with_the_params_and_the_pairs(
    tmp_path, monkeypatch, rows, told
):
    monkeypatch.chdir(tmp_path)
    rows = table(*rows)
    with pytest.raises(DataError, match=told) as caught:
        refuse_many_near(rows, find(rows), RULE, 0.2, where="raw")
    assert caught.value.exit_code == 3
    for name in (
        "clean.near_duplicates to report",
        "clean.near_correlation",
        "clean.max_near_frac",
        str(PROOF),
    ):
        assert name in str(caught.value)
    assert len(pd.read_csv(PROOF)) == len(find(rows).pairs)
    refuse_many_near(rows, find(rows), RULE, 1.0, where="raw")
    assert not PROOF.exists()


def test_a_few_copies_are_dropped_without_a_stop(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = table(("train", "a", 1, 2), ("test", "a", 1, 1), ("train", "a", 2, 1))
    refuse_many_near(rows, find(rows), RULE, 0.2, where="raw")
    assert len(find(rows).dropped) == 2


def ray(draw):
    for step in range(0, 80, 10):
        draw.ellipse((40 + step, 10 + step, 200 - step, 170 - step), fill=(20 + 2 * step,) * 3)


def belt(draw):
    draw.ellipse((60, 30, 180, 150), fill=(110, 110, 100))
    draw.ellipse((100, 70, 140, 110), fill=(40, 40, 45))


def screen(draw):
    draw.rectangle((0, 0, 240, 30), fill=(40, 60, 160))
    draw.rectangle((10, 50, 90, 170), fill=(60, 60, 60))


def one_view(raw, paint, n=15):
    """Draw one thing again and again, with a small mark in some place and a camera's noise."""
    for label in ("bad", "good"):
        for at in range(n):
            rng = np.random.default_rng(at + (50 if label == "bad" else 0))
            picture = Image.new("RGB", (240, 180), (225, 225, 220))
            draw = ImageDraw.Draw(picture)
            paint(draw)
            x, y = rng.integers(40, 140, 2)
            draw.line((x, y, x + 12, y + (6 if label == "bad" else 0)), fill=(200, 40, 40))
            noisy = np.asarray(picture) + rng.integers(-4, 5, (180, 240, 3))
            (raw / label).mkdir(parents=True, exist_ok=True)
            Image.fromarray(noisy.astype(np.uint8)).save(raw / label / f"{at:02}.png")
    return raw


@pytest.mark.parametrize("paint", [ray, belt, screen], ids=lambda each: each.__name__)
def test_one_view_stops_naming_the_params_and_goes_on_with_report(tmp_path, monkeypatch, paint):
    monkeypatch.chdir(tmp_path)
    raw = one_view(tmp_path / "raw", paint)
    with pytest.raises(DataError, match=r"set clean\.near_duplicates to report"):
        clean_folder(raw)
    kept = by_path(clean_folder(raw, near_duplicates="report"))
    assert {row["status"] for row in kept.values()} == {"kept"}


def test_one_view_in_given_splits_names_the_params_too(tmp_path, monkeypatch, caplog):
    monkeypatch.chdir(tmp_path)
    raw = one_view(tmp_path / "raw", belt)
    rows = [
        f"{label}/{at:02}.png,{label},{('train', 'val', 'test')[at % 3]}"
        for label in ("bad", "good")
        for at in range(15)
    ]
    write_labels(raw, rows, header="path,label,split")
    with pytest.raises(DataError, match=r"leaks.csv: .*set clean\.near_duplicates to report"):
        clean_folder(raw)
    with caplog.at_level(logging.INFO), pytest.raises(DataError, match=r"clean\.max_near_frac"):
        clean_folder(raw, leaks="drop")
    assert "dropped, near_duplicate_of" in caplog.text
    assert len(pd.read_csv(PROOF))


def test_numbers_of_one_view_stop_too(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    raw = one_view(tmp_path / "raw", belt)
    rows = [f"{label}/{at:02}.png,{at}" for label in ("bad", "good") for at in range(15)]
    write_labels(raw, rows, header="path,score")
    with pytest.raises(DataError, match="near-duplicates of items in other splits would take"):
        clean_folder(raw, task="regression", target="score")


def test_near_copies_between_train_and_a_carved_val_are_no_leak_of_the_user(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    raw = tmp_path / "raw"
    rows = []
    for label, first in (("a", 100), ("b", 200)):
        for at in range(40):
            picture = brightness(0.97 if at % 10 == 1 else 1.0)(scene(first + at - (at % 10 == 1)))
            (raw / label).mkdir(parents=True, exist_ok=True)
            picture.save(raw / label / f"{at:02}.png")
            rows.append(f"{label}/{at:02}.png,{label},{'test' if at >= 32 else 'train'}")
    write_labels(raw, rows, header="path,label,split")
    cleaned = clean_folder(raw)
    section = cleaned.report["near_duplicates"]
    assert section["pairs"] == 8
    assert section["dropped"]["train"] == section["pairs_across_splits"] > 0
    assert section["leaks_left"] == 0
