"""Every raw item gets one row and one reason, and what cannot be learned from stops the stage."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from pydantic import ValidationError

from pipeline.clean import report
from pipeline.clean.case import Rules
from pipeline.clean.leaks import COLUMNS as LEAK_COLUMNS
from pipeline.clean.leaks import PROOF, refuse_leaks
from pipeline.clean.near import PAIR_COLUMNS
from pipeline.clean.page.plots import write_plots
from pipeline.clean.stops import refuse_unusable
from pipeline.ground.errors import DataError
from pipeline.ground.files import write_json
from pipeline.ground.tables import read_table
from pipeline.manifest.manifest import read_manifest, write_manifest
from pipeline.raw.params import DataParams
from stages.clean import main
from tests.support.closure import ROOT
from tests.support.rawfolder import (
    MACHINE,
    SPLIT,
    by_path,
    class_folders,
    clean_folder,
    clean_params,
    save_picture,
    write_labels,
)
from tests.support.scenes import brightness, save_scene
from tests.support.unchecked import unchecked


def reasons(cleaned):
    return {
        path: (row["status"], row["reason"])
        for path, row in by_path(cleaned).items()
        if row["status"] != "kept"
    }


def label_rows(raw, split=""):
    return [
        f"{path.parent.name}/{path.name},{path.parent.name}{split}"
        for path in sorted(raw.glob("*/*.png"))
    ]


def given_splits(raw):
    """Write a label file with 12 + 12 pictures in train, 6 + 6 in val, 6 + 6 in test."""
    rows = label_rows(raw)
    splits = (["train"] * 12 + ["val"] * 6 + ["test"] * 6) * 2
    return write_labels(
        raw,
        [f"{row},{split}" for row, split in zip(rows, splits, strict=True)],
        header="path,label,split",
    )


def test_good_pictures_are_kept_and_described(tmp_path):
    class_folders(tmp_path)
    cleaned = clean_folder(tmp_path)
    assert list(cleaned.manifest["path"]) == sorted(by_path(cleaned))
    row = by_path(cleaned)["cat/00.png"]
    assert (row["label"], row["weight"], row["width"], row["height"]) == ("cat", 1.0, 12, 10)
    assert cleaned.report["items"] == cleaned.report["status"]["kept"] == 48
    assert cleaned.report["classes"] == ["cat", "dog"]
    assert sum(cleaned.report["splits"].values()) == 48
    for split, counts in cleaned.report["counts"].items():
        assert sum(counts.values()) == cleaned.report["splits"][split]


def test_every_kind_of_bad_item_has_its_reason(tmp_path):
    class_folders(tmp_path)
    save_picture(tmp_path / "cat/small.png", 1, size=(7, 30))
    save_picture(tmp_path / "cat/long.png", 2, size=(8, 161))
    save_picture(tmp_path / "cat/longest-allowed.png", 3, size=(8, 160))
    save_picture(tmp_path / "cat/smallest-allowed.png", 4, size=(8, 8))
    Image.new("L", (1001, 1000)).save(tmp_path / "cat/huge.png")
    Image.new("L", (1000, 1000)).save(tmp_path / "cat/hugest-allowed.png")
    (tmp_path / "cat/empty.png").touch()
    (tmp_path / "cat/page.png").write_bytes(b"<!doctype html><p>404")
    save_picture(tmp_path / "cat/zcopy.png", 5005)
    save_picture(tmp_path / "dog/copy.png", 5006)
    save_picture(tmp_path / "cat/copy.bmp", 5006)
    save_picture(tmp_path / "cat/ycopy.bmp", 5005)
    save_picture(tmp_path / "loose.png", 7)
    (tmp_path / "cat/link.png").symlink_to("/etc/hostname")
    assert reasons(clean_folder(tmp_path)) == {
        "cat/small.png": ("quarantined", "too_small"),
        "cat/long.png": ("quarantined", "aspect"),
        "cat/huge.png": ("quarantined", "too_large"),
        "cat/empty.png": ("quarantined", "empty"),
        "cat/page.png": ("quarantined", "not_image"),
        "cat/zcopy.png": ("dropped", "duplicate"),
        "dog/copy.png": ("quarantined", "conflict"),
        "cat/copy.bmp": ("quarantined", "conflict"),
        "loose.png": ("quarantined", "no_label"),
        "cat/link.png": ("quarantined", "unsafe_path"),
    }


def test_a_bad_picture_without_a_label_is_a_bad_picture(tmp_path):
    class_folders(tmp_path)
    (tmp_path / "loose.png").write_bytes(b"text")
    assert reasons(clean_folder(tmp_path)) == {"loose.png": ("quarantined", "not_image")}


def test_a_bad_picture_with_two_labels_is_a_bad_picture(tmp_path):
    class_folders(tmp_path)
    (tmp_path / "cat/01.png").write_bytes(b"text")
    write_labels(tmp_path, [*label_rows(tmp_path), "cat/00.png,dog", "cat/01.png,dog"])
    assert reasons(clean_folder(tmp_path)) == {
        "cat/00.png": ("quarantined", "conflict"),
        "cat/01.png": ("quarantined", "not_image"),
    }


def test_missing_labels_follow_the_policy_and_are_reported(tmp_path, monkeypatch):
    class_folders(tmp_path)
    rows = label_rows(tmp_path)
    rows[3] = "cat/03.png,"
    rows[30] = "dog/06.png, "
    write_labels(tmp_path, rows)
    lost = {"cat/03.png": ("quarantined", "no_label"), "dog/06.png": ("quarantined", "no_label")}
    assert reasons(clean_folder(tmp_path)) == lost
    dropped = clean_folder(tmp_path, missing_label="drop", max_bad_frac=0.0)
    assert reasons(dropped) == dict.fromkeys(lost, ("dropped", "no_label"))
    filled = clean_folder(tmp_path, missing_label="ffill")
    assert reasons(filled) == {}
    fills = [{"path": "cat/03.png", "label": "cat"}, {"path": "dog/06.png", "label": "dog"}]
    assert filled.report["missing_label"] == {"policy": "ffill", "n": 2, "filled": fills}
    assert filled.filled.to_dict("records") == fills
    monkeypatch.setattr(report, "DETAILED", 1)
    bounded = clean_folder(tmp_path, missing_label="ffill")
    assert bounded.report["missing_label"] == {"policy": "ffill", "n": 2, "filled": fills[:1]}
    rules = Rules("classification", clean_params(), SPLIT)
    write_plots(tmp_path / "plots", bounded, raw=tmp_path, rules=rules)
    assert pd.read_csv(tmp_path / "plots/filled.csv").to_dict("records") == fills
    shutil.rmtree(tmp_path / "plots")
    with pytest.raises(DataError, match=r"cat/03\.png: has no label, as the first of 2"):
        clean_folder(tmp_path, missing_label="error")


def test_the_label_file_decides_splits_groups_weights_and_passes_columns_through(tmp_path):
    class_folders(tmp_path)
    given_splits(tmp_path)
    cleaned = clean_folder(tmp_path)
    assert cleaned.report["splits"] == {"train": 24, "val": 12, "test": 12}
    rows = [
        f"{row},g{number // 4},2.5,{number % 2}" for number, row in enumerate(label_rows(tmp_path))
    ]
    write_labels(tmp_path, rows, header="path,label,group,weight,side")
    cleaned = clean_folder(tmp_path)
    assert len(cleaned.manifest[["group", "split"]].drop_duplicates()) == 12
    row = by_path(cleaned)["cat/01.png"]
    assert (row["group"], row["weight"], row["meta.side"]) == ("g0", 2.5, "1")
    assert set(cleaned.report["shares"]) == {"all", "label", "side"}


def leaky_splits(raw):
    """Put cat/00 (train) into test once more as it is, and a darker dog/00 (train) into val."""
    class_folders(raw)
    save_picture(raw / "cat/23.png", 0)
    save_scene(raw / "dog/00.png", 1)
    save_scene(raw / "dog/14.png", 1, change=brightness(0.9))
    given_splits(raw)
    return raw


def test_a_proof_holds_no_formula(tmp_path):
    row = dict.fromkeys(LEAK_COLUMNS, "a") | {"path_a": "=1+1.png", "correlation": "identical"}
    with pytest.raises(DataError, match="first: =1"):
        refuse_leaks(
            pd.DataFrame([row]),
            pd.DataFrame(columns=LEAK_COLUMNS),
            tmp_path / "p.csv",
            resembling="forms",
        )
    (read,) = pd.read_csv(tmp_path / "p.csv").to_dict("records")
    assert read == row | {"path_a": "'=1+1.png"}


def test_pictures_in_two_given_splits_stop_with_a_proof(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    raw = leaky_splits(tmp_path / "raw")
    with pytest.raises(DataError) as caught:
        clean_folder(raw)
    assert str(caught.value) == (
        ".rootstock/proofs/leaks.csv: no item may be in two of the given splits, and 2 pairs "
        "do; first: cat/23.png in test and cat/00.png in train, identical (give both one split, "
        "remove one, or set clean.leaks to drop; if they only look alike (one camera, forms, "
        "X-rays), set clean.near_duplicates to report, or raise clean.near_correlation)"
    )
    assert caught.value.exit_code == 3
    first, second = pd.read_csv(PROOF).to_dict("records")
    assert first == {
        "path_a": "cat/23.png",
        "split_a": "test",
        "label_a": "cat",
        "path_b": "cat/00.png",
        "split_b": "train",
        "label_b": "cat",
        "correlation": "identical",
    }
    assert 0.997 <= float(second.pop("correlation")) <= 1.0
    assert second == {
        "path_a": "dog/00.png",
        "split_a": "train",
        "label_a": "dog",
        "path_b": "dog/14.png",
        "split_b": "val",
        "label_b": "dog",
    }
    clean_folder(raw, leaks="drop")
    assert PROOF.exists()
    (raw / "cat/23.png").unlink()
    (raw / "dog/14.png").unlink()
    clean_folder(raw, missing_label="drop")
    assert not PROOF.exists()


def test_pictures_in_two_given_splits_are_mended_on_request(tmp_path):
    cleaned = clean_folder(leaky_splits(tmp_path), leaks="drop")
    assert reasons(cleaned) == {
        "cat/00.png": ("dropped", "duplicate"),
        "dog/00.png": ("dropped", "near_duplicate_of"),
    }
    assert cleaned.report["splits"] == {"train": 22, "val": 12, "test": 12}
    section = cleaned.report["near_duplicates"]
    assert (section["identical_across_splits"], section["pairs_across_splits"]) == (1, 1)
    assert section["dropped"] == {"train": 1, "val": 0, "test": 0}
    assert section["leaks_left"] == 0


@pytest.mark.parametrize("policy", ["report", "off"])
def test_only_equal_pictures_are_refused_where_near_duplicates_are_not_dropped(
    tmp_path, monkeypatch, policy
):
    monkeypatch.chdir(tmp_path)
    raw = leaky_splits(tmp_path / "raw")
    with pytest.raises(DataError, match="and 1 pair does; first: cat/23"):
        clean_folder(raw, near_duplicates=policy)
    (raw / "cat/23.png").unlink()
    cleaned = clean_folder(raw, near_duplicates=policy, missing_label="drop")
    assert cleaned.report["near_duplicates"]["leaks_left"] == (policy == "report")
    warnings = cleaned.report["warnings"]
    assert any("both are kept" in each for each in warnings) == (policy == "report")


def near_copies(raw):
    """Add 12 pictures to the cats, each slightly darker than the one before."""
    class_folders(raw)
    for number in range(12):
        save_scene(raw / f"cat/near{number:02}.png", 1, change=brightness(1.0 - number / 100))
    return raw


def test_near_duplicates_stay_in_the_most_protected_split_alone(tmp_path):
    cleaned = clean_folder(near_copies(tmp_path), max_near_frac=1.0)
    rows = [row for path, row in by_path(cleaned).items() if "near" in path]
    kept = [row for row in rows if row["status"] == "kept"]
    assert {row["split"] for row in kept} == {"test"}
    assert 0 < len(kept) < 12
    assert {(row["status"], row["reason"]) for row in rows if row not in kept} == {
        ("dropped", "near_duplicate_of")
    }
    details = [entry["detail"] for entry in cleaned.report["not_kept"]]
    assert all(" alike to cat/near" in each and each.endswith(" in test") for each in details)
    assert len(details) == sum(cleaned.report["near_duplicates"]["dropped"].values())
    pairs = cleaned.near_duplicates
    assert len(pairs) == 12 * 11 / 2
    assert set(pairs["path_a"]) | set(pairs["path_b"]) == {row["path"] for row in rows}


def test_near_duplicates_are_dropped_from_no_count_of_bad_items(tmp_path):
    cleaned = clean_folder(near_copies(tmp_path), max_bad_frac=0.0, max_near_frac=1.0)
    assert cleaned.report["bad_frac"] == 0.0


def test_near_duplicates_with_two_labels_are_told(tmp_path):
    near_copies(tmp_path)
    (tmp_path / "cat/near00.png").rename(tmp_path / "dog/near00.png")
    warnings = clean_folder(tmp_path, max_near_frac=1.0).report["warnings"]
    assert any(
        each.startswith("11 pairs of near-duplicates with two labels; first: cat/near01.png")
        for each in warnings
    )


def test_regression(tmp_path):
    class_folders(tmp_path)
    rows = [f"{row},{number / 10}" for number, row in enumerate(label_rows(tmp_path))]
    rows[5] = "cat/05.png,cat,"
    write_labels(tmp_path, rows, header="path,label,score")
    cleaned = clean_folder(tmp_path, task="regression", target="score", missing_label="median")
    row = by_path(cleaned)["cat/07.png"]
    assert (row["label"], row["meta.label"]) == ("0.7", "cat")
    assert cleaned.report["classes"] == []
    train = cleaned.manifest.query("split == 'train' and path != 'cat/05.png'")["label"]
    expected = repr(float(np.median(train.astype(float))))
    assert cleaned.report["missing_label"]["filled"] == [{"path": "cat/05.png", "label": expected}]
    assert sum(sum(counts.values()) for counts in cleaned.report["counts"].values()) == 48
    with pytest.raises(DataError, match=r"labels\.csv:2: the label must be a finite number"):
        clean_folder(tmp_path, task="regression")


@pytest.mark.parametrize(("bad", "stops"), [(4, False), (5, True)])
def test_the_bad_share_is_counted_over_all_items(tmp_path, monkeypatch, bad, stops):
    monkeypatch.chdir(tmp_path)  # where the list is left
    class_folders(tmp_path, cats=20, dogs=20)
    for number in range(bad):
        (tmp_path / f"cat/{number:02}.png").write_bytes(b"text")
    save_picture(tmp_path / "cat/zcopy.png", 19)  # dropped: an item, and no bad one
    frac = 4 / 41
    if not stops:
        clean_folder(tmp_path, max_bad_frac=frac)
        return
    with pytest.raises(DataError) as caught:
        clean_folder(tmp_path, max_bad_frac=frac)
    assert str(caught.value) == (
        f"{tmp_path}: 5 of 41 items are bad: not_image 5 (first: cat/00.png); clean.max_bad_frac "
        "allows a share of 0.097561, got 0.122 (all are listed in .rootstock/proofs/bad_items.csv; "
        "mend or remove them, or raise clean.max_bad_frac)"
    )


def all_bad(raw):
    for path in class_folders(raw).glob("*/*.png"):
        path.write_bytes(b"text")


def lost_class(raw):
    for path in class_folders(raw, dogs=3).glob("dog/*.png"):
        path.write_bytes(b"text")


def one_class(raw):
    class_folders(raw, dogs=0)


def empty_split(raw):
    class_folders(raw, cats=3, dogs=3)
    rows = [f"{row},{'test' if '00' in row else 'train'}" for row in label_rows(raw)]
    rows[1] = rows[1].replace("train", "val")
    write_labels(raw, rows, header="path,label,split")
    (raw / "cat/01.png").write_bytes(b"text")


def untrained_class(raw):
    class_folders(raw)
    rows = label_rows(raw)
    splits = (["train"] * 12 + ["val"] * 6 + ["test"] * 6) * 2
    rows = [
        f"{row.replace(',dog', ',cow') if split == 'test' else row},{split}"
        for row, split in zip(rows, splits, strict=True)
    ]
    write_labels(raw, rows, header="path,label,split")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (all_bad, "none of 48 items is kept"),
        (lost_class, "the class 'dog' has lost all its 3 items: not_image 3"),
        (one_class, "there must be two classes or more, and all items are 'cat'"),
        (
            empty_split,
            "the split 'val' is empty; 5 items are kept in all; what was given to it is lost: "
            "not_image 1",
        ),
        (untrained_class, "the class 'cow' has 6 items, none of them in train"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_what_cannot_be_learned_from_stops_with_its_own_text(tmp_path, make, message):
    make(tmp_path / "raw")
    with pytest.raises(DataError, match=message) as caught:
        clean_folder(tmp_path / "raw", max_bad_frac=1.0)
    assert caught.value.exit_code == 3
    assert "\n" not in str(caught.value)


def test_a_class_absent_from_val_is_told(tmp_path):
    class_folders(tmp_path)
    given_splits(tmp_path)
    text = (tmp_path / "labels.csv").read_text(encoding="utf-8")
    kept = [line for line in text.splitlines() if not line.endswith("cat,val")]
    (tmp_path / "labels.csv").write_text("\n".join(kept) + "\n", encoding="utf-8")
    cleaned = clean_folder(tmp_path, missing_label="drop")
    assert "1 of 2 classes have no item in val; first: 'cat'" in cleaned.report["warnings"]


def test_shares_beyond_chance_are_told(tmp_path):
    class_folders(tmp_path, cats=100, dogs=100)
    rows = label_rows(tmp_path)
    splits = ["train"] * 90 + ["test"] * 10 + ["train"] * 30 + ["test"] * 50 + ["val"] * 20
    write_labels(
        tmp_path,
        [f"{row},{split}" for row, split in zip(rows, splits, strict=True)],
        header="path,label,split",
    )
    warnings = clean_folder(tmp_path).report["warnings"]
    assert any(
        "test has 10 of 100 items with label 'cat', where 30.0 are expected" in each
        for each in warnings
    )


def test_the_order_of_files_and_rows_changes_no_byte(tmp_path):
    raw = class_folders(tmp_path / "raw")
    rows = label_rows(raw)
    written = []
    for name, ordered in (("a", rows), ("b", rows[::-1])):
        labels = write_labels(tmp_path, ordered)
        cleaned = clean_folder(raw, labels=labels)
        write_manifest(tmp_path / f"{name}.parquet", cleaned.manifest)
        write_json(tmp_path / f"{name}.json", cleaned.report)
        written.append([(tmp_path / f"{name}.{kind}").read_bytes() for kind in ("parquet", "json")])
    assert written[0] == written[1]


def run_stage(folder, raw):
    out = folder / "out"
    main(
        "classification",
        DataParams(path="r", labels="r", target="label", text=None, encoding=None, layout="auto"),
        unchecked(clean_params(), "clean"),
        SPLIT,
        MACHINE,
        raw=raw,
        labels=raw,
        review=folder / "review",
        manifest=out / "manifest.parquet",
        report=out / "report.json",
        near_duplicates=out / "near_duplicates.parquet",
        plots=out / "plots",
        page=out / "report.html",
        probes=out / "probes.parquet",
        key=out / "key.json",
    )
    return out


def test_the_stage_writes_the_same_bytes_wherever_it_runs(tmp_path):
    outs = []
    for name in ("here", "elsewhere"):
        raw = class_folders(tmp_path / name / "small" / "raw")
        (raw / "cat/bad.png").write_bytes(b"text")
        save_picture(raw / "cat/long.png", 1, size=(8, 400))
        save_scene(raw / "cat/scene.png", 1)
        save_scene(raw / "cat/scene.jpg", 1)
        out = run_stage(tmp_path / name, raw)
        outs.append(
            {path.relative_to(out): path.read_bytes() for path in out.rglob("*") if path.is_file()}
        )
    assert outs[0] == outs[1]
    assert sorted(map(str, outs[0])) == [
        "key.json",
        "manifest.parquet",
        "near_duplicates.parquet",
        "plots/classes.csv",
        "plots/quarantined.png",
        "probes.parquet",
        "report.html",
        "report.json",
    ]
    assert all(str(tmp_path).encode() not in content for content in outs[0].values())
    assert len(read_manifest(out / "manifest.parquet")) == 52
    report = json.loads((out / "report.json").read_text(encoding="utf-8"))
    reported = [entry["reason"] for entry in report["not_kept"]]
    assert [each for each in reported if each != "near_duplicate_of"] == ["not_image", "aspect"]
    pairs = read_table(out / "near_duplicates.parquet")
    assert tuple(pairs.columns) == PAIR_COLUMNS
    assert pairs[["path_a", "path_b"]].values.tolist() == [["cat/scene.jpg", "cat/scene.png"]]


def test_the_sheet_and_the_balance(tmp_path):
    raw = class_folders(tmp_path / "raw")
    rules = Rules("classification", clean_params(), SPLIT)
    clean = clean_folder(raw)
    write_plots(tmp_path / "none", clean, raw=raw, rules=rules)
    for number in range(20):
        save_picture(raw / f"cat/small{number}.png", number, size=(5, 5))
    (raw / "cat/bad.png").write_bytes(b"text")
    write_plots(tmp_path / "some", clean_folder(raw), raw=raw, rules=rules)
    heights = []
    for name in ("none", "some"):
        with Image.open(tmp_path / name / "quarantined.png") as sheet:
            heights.append(sheet.height)
    assert heights[1] > heights[0]
    balance = pd.read_csv(tmp_path / "some" / "classes.csv")
    assert list(balance.columns) == ["split", "label", "n"]
    assert balance["n"].sum() == 48
    assert list(balance["split"].unique()) == ["train", "val", "test"]


@pytest.mark.parametrize(
    "change",
    [
        {"missing_label": "guess"},
        {"max_bad_frac": 1.5},
        {"min_side_px": 0},
        {"max_aspect": 0.5},
        {"max_pixels": 10**9},
        {"animated": "last"},
        {"near_duplicates": "yes"},
        {"near_correlation": 0.5},
        {"near_correlation": 1.0},
        {"near_turns": 1},
        {"leaks": "keep"},
        {"more": 1},
    ],
)
def test_params_have_bounds(change):
    with pytest.raises(ValidationError):
        clean_params(**change)


def test_cleaning_loads_neither_torch_nor_mlflow_nor_scipy():
    code = (
        "import sys, stages.clean; print(sorted({'torch', 'mlflow', 'scipy'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True
    )
    assert done.stdout == "[]\n"


def test_a_name_with_a_line_break_is_logged_in_one_line(tmp_path, caplog):
    caplog.set_level("INFO")
    class_folders(tmp_path)
    (tmp_path / "cat/a\nb.png").write_bytes(b"")
    clean_folder(tmp_path)
    assert "cat/a\\nb.png: quarantined, empty: the file has no bytes" in caplog.messages


@pytest.mark.parametrize(("groups", "told"), [("AAAA", "4 items are in 1 group"), (None, "")])
def test_an_empty_split_names_the_groups_that_are_never_divided(groups, told):
    table = pd.DataFrame(
        {
            "label": [*"abab"],
            "split": "train",
            "given": None,
            "status": "kept",
            "reason": None,
            "group": [*groups] if groups else None,
        }
    )
    with pytest.raises(DataError, match="the split 'val' is empty") as caught:
        refuse_unusable(table, is_classification=True, is_given=False, where="raw")
    assert told in str(caught.value)
    assert ("never divided" in str(caught.value)) == bool(told)
