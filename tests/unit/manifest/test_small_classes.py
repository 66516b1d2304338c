"""Long tails of classes: each is learned or left out, what is done is told, a file holds splits."""

import hashlib

import pandas as pd
import pytest

from pipeline.clean.case import Rules
from pipeline.clean.run import clean_items
from pipeline.clean.table import list_items
from pipeline.cli import main
from pipeline.ground.errors import DataError
from pipeline.ground.files import write_json
from pipeline.manifest.pins import add_pins, pin_file, read_pins
from pipeline.manifest.small_classes import place_small_classes
from pipeline.manifest.split import assign_splits, plan_splits
from pipeline.raw.items import find_items
from tests.support.closure import ROOT
from tests.support.rawfolder import (
    MACHINE,
    SPLIT,
    by_path,
    clean_folder,
    clean_params,
    save_picture,
    write_labels,
)


def tail(sizes, *, groups=None, given=None):
    """Make kept rows of classes 0, 1, ... with so many items each, in groups and splits by rule."""
    rows = [
        {
            "path": f"{at}/{n}",
            "id": f"{at}/{n}",
            "label": f"class {at}",
            "status": "kept",
            "content_hash": hashlib.sha256(f"{at}/{n}".encode()).hexdigest(),
            "group": groups(at, n) if groups else None,
            "split": given(at, n) if given else None,
        }
        for at, size in enumerate(sizes)
        for n in range(size)
    ]
    return pd.DataFrame(rows).astype("str")


def place(rows, **changes):
    params = SPLIT.model_copy(update=changes)
    dealing, _ = plan_splits(rows["split"], params)
    made = rows.assign(given=rows["split"], split=assign_splits(rows, params, dealing))
    return made, place_small_classes(made, params, dealing, {}, is_classification=True)


TAILS = {
    "species": tail([4] * 200),
    "thousand-of-five": tail([5] * 1000),
    "one-large-and-fifty-small": tail([1000, *[2, 3, 4, 5, 6] * 10]),
    "one-two-three": tail([1, 2, 3] * 20),
    "all-single-but-one": tail([300, *[1] * 40]),
    "persons-in-groups": tail([6] * 60, groups=lambda at, n: f"{at}-{n // 3}"),
    "one-group-a-class": tail([5] * 40, groups=lambda at, n: f"{at}"),
    "groups-across-classes": tail([3] * 40, groups=lambda at, n: f"{(at + n) % 30}"),
    "val-is-carved": tail([2] * 60, given=lambda at, n: ["train", "test"][n]),
    "given-train-and-val": tail([3] * 60, given=lambda at, n: ["train", "train", "val"][n]),
}


@pytest.mark.parametrize("rows", TAILS.values(), ids=TAILS.keys())
def test_every_class_of_a_long_tail_is_in_train_and_only_classes_without_are_touched(rows):
    made, placed = place(rows)
    now, own = placed.splits, made["split"]
    assert set(rows["label"][now == "train"]) == set(rows["label"])
    changed = rows[now != own]
    assert len(changed)
    assert list(now[changed.index].unique()) == ["train"]
    grouped = rows.assign(now=now)[["group", "now"]].dropna().drop_duplicates()
    assert grouped["group"].is_unique
    if rows["group"].isna().all():  # no more than one of each class that lacked one
        lacking = set(rows["label"]) - set(rows["label"][own == "train"])
        assert sorted(changed["label"]) == sorted(lacking)
    assert [each["path"] for each in placed.moved] == sorted(changed["path"])
    (warning,) = placed.warnings
    assert "one of each is put there (split.small_classes: train)" in warning
    assert len(warning) < 300


def test_where_every_class_is_large_nothing_is_placed():
    made, placed = place(tail([60] * 20))
    assert placed.splits.equals(made["split"])
    assert (placed.moved, placed.dropped, placed.warnings) == ([], [], [])


def test_the_item_nearest_to_train_is_the_one_that_goes_there():
    made, placed = place(tail([4] * 200), train=0.6)
    wider, _ = place(tail([4] * 200), train=0.8, val=0.1, test=0.1)
    moved = [each["path"] for each in placed.moved]
    reached = set(wider["path"][wider["split"] == "train"])
    classes = {path.split("/")[0] for path in moved}
    for name in classes:  # what a wider train reaches first
        near = {path for path in reached if path.startswith(f"{name}/")}
        assert (
            not near
            or f"{name}/" + next(p for p in moved if p.startswith(f"{name}/"))[len(name) + 1 :]
            in near
        )
    assert len(made) == 800


def test_a_group_of_other_classes_goes_along_only_where_there_is_no_other():
    rows = tail([2, 2], groups=lambda at, n: "shared" if n == 0 else f"own {at}")
    for seed in range(40):
        made, placed = place(rows, seed=seed)
        moved = {each["path"] for each in placed.moved}
        if set(made["split"]) <= {"val", "test"}:
            assert moved == {"0/1", "1/1"}


def long_tail(raw, sizes=(20, 20, 1, 1, 2, 2)):
    for at, size in enumerate(sizes):
        for n in range(size):
            save_picture(raw / f"class {at}/{n:02}.png", 100 * at + n)
    return raw


def judged(raw, pins=None, **split):
    rules = Rules("classification", clean_params(), SPLIT.model_copy(update=split), pins or {})
    found = find_items(raw, raw, target="label")
    return clean_items(raw, list_items(found), rules, MACHINE)


def splits(cleaned):
    return {path: row["split"] for path, row in by_path(cleaned).items()}


def test_classes_without_train_are_placed_dropped_or_refused_as_the_param_says(tmp_path):
    raw = long_tail(tmp_path)
    placed = judged(raw)
    small = {each["label"] for each in placed.report["placed"]}
    assert small
    assert all(each["own"] != each["split"] == "train" for each in placed.report["placed"])
    dropped = judged(raw, small_classes="drop")
    gone = {path for path, row in by_path(dropped).items() if row["reason"] == "untrained"}
    assert {path.split("/")[0] for path in gone} == small
    assert "placed" not in dropped.report
    assert any("left out with all" in each for each in dropped.report["warnings"])
    with pytest.raises(DataError, match=r"none of them in train.*\(set split.small_classes to"):
        judged(raw, small_classes="refuse")


def test_a_class_that_only_a_given_test_has_stops_or_is_left_out(tmp_path):
    raw = long_tail(tmp_path, (6, 6, 2))
    rows = [
        f"class {at}/{n:02}.png,class {at},{'test' if at == 2 else 'train val test'.split()[n % 3]}"
        for at, size in enumerate((6, 6, 2))
        for n in range(size)
    ]
    write_labels(raw, rows, header="path,label,split")
    with pytest.raises(DataError, match=r"the split train, or set split\.small_classes to drop"):
        judged(raw)
    assert judged(raw, small_classes="drop").report["reasons"] == {"untrained": 2}


def test_pins_hold_splits_when_classes_grow_and_data_are_deleted(tmp_path):
    raw = long_tail(tmp_path / "mine/raw")
    first = judged(raw)
    file, new = add_pins(tmp_path / "review", raw, first.report)
    assert (file, new) == (tmp_path / "review/splits/mine.csv", len(first.report["placed"]))
    assert add_pins(tmp_path / "review", raw, first.report)[1] == 0
    for at in range(6):
        for n in range(8):
            save_picture(raw / f"class {at}/new{n}.png", 1000 + 100 * at + n)
    before, loose = splits(first), splits(judged(raw))
    assert any(loose[path] != split for path, split in before.items())
    pins = read_pins(tmp_path / "review", raw)
    held = judged(raw, pins)
    assert {path: splits(held)[path] for path in before} == before
    assert all(each["pinned"] for each in held.report["placed"])
    assert add_pins(tmp_path / "review", raw, held.report)[1] == 0


def test_a_pin_holds_for_a_copy_that_takes_the_place_of_the_item(tmp_path):
    raw = long_tail(tmp_path / "mine/raw")
    first = judged(raw)
    add_pins(tmp_path, raw, first.report)
    path = raw / first.report["placed"][0]["path"]
    save_picture(path.with_name("0.png"), 0)
    copy = path.with_name("00 as.bmp")
    from PIL import Image

    Image.open(path).save(copy)
    path.with_name("0.png").unlink()
    for n in range(8):
        save_picture(path.with_name(f"new{n}.png"), 5000 + n)
    held = by_path(judged(raw, read_pins(tmp_path, raw)))
    copies = [held[str(each.relative_to(raw))] for each in (path, copy)]
    assert [row["split"] for row in copies if row["status"] == "kept"] == ["train"]


@pytest.mark.parametrize(
    ("lines", "match"),
    [
        pytest.param(["a,holdout,x"], "must be train, val or test, got 'holdout'", id="word"),
        pytest.param(["a,train,x", "A,test,x"], "must not contradict .*mine.csv:2", id="twice"),
        pytest.param(["a,,x"], "must be train, val or test, got ''", id="blank"),
    ],
)
def test_a_wrong_file_of_pins_stops_with_its_line(tmp_path, lines, match):
    file = pin_file(tmp_path, tmp_path / "mine/raw")
    write_labels(file.parent, lines, header="id,split,path", name=file.name)
    with pytest.raises(DataError, match=match):
        read_pins(tmp_path, tmp_path / "mine/raw")


def test_pins_that_tear_a_group_or_a_given_split_are_told(tmp_path):
    raw = long_tail(tmp_path / "mine/raw", (8, 8))
    rows = [f"class {at}/{n:02}.png,class {at},g{at}{n // 2}" for at in (0, 1) for n in range(8)]
    write_labels(raw, rows, header="path,label,group")
    ids = {path: row["id"] for path, row in by_path(judged(raw)).items()}
    one, other = ids["class 0/00.png"], ids["class 0/01.png"]
    write_labels(
        tmp_path / "splits",
        [f"{one},train,", f"{other},test,"],
        header="id,split,path",
        name="mine.csv",
    )
    with pytest.raises(DataError, match=r"mine.csv:3: .*must not tear apart a group.*mine.csv:2"):
        judged(raw, read_pins(tmp_path, raw))
    rows = [
        f"{row.rsplit(',', 1)[0]},{'train' if at % 8 < 5 else 'test' if at % 8 < 7 else 'val'}"
        for at, row in enumerate(rows)
    ]
    write_labels(raw, rows, header="path,label,split")
    told = judged(raw, read_pins(tmp_path, raw)).report["warnings"]
    assert any("mine.csv:3: the split test is not one that this item" in each for each in told)


def test_the_command_writes_the_file_and_says_how_many(tmp_path, monkeypatch, capsys):
    report = clean_folder(long_tail(tmp_path / "raw")).report
    monkeypatch.chdir(tmp_path)
    params = (ROOT / "params.yaml").read_text(encoding="utf-8")
    (tmp_path / "params.yaml").write_text(params.replace("data/elpv/raw", "data/mine/raw"))
    (tmp_path / "artifacts/clean").mkdir(parents=True)
    write_json(tmp_path / "artifacts/clean/report.json", report)
    assert main(["data", "pin"]) == 0
    n = len(report["placed"])
    assert capsys.readouterr().out == (
        f"{n} items are not in the split of their own hash; review/splits/mine.csv has {n} new "
        "rows: commit it\n"
    )
    assert main(["data", "pin"]) == 0
    assert "needs no new row" in capsys.readouterr().out
