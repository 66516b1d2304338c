"""People's decisions on single items are read strictly, and follow the bytes of a file."""

import json
import shutil

import pandas as pd
import pytest
from PIL import Image

from pipeline.ground.errors import DataError
from pipeline.ground.files import sha256_file
from pipeline.manifest.review import Decision, read_review
from tests.support.rawfolder import by_path, class_folders, clean_folder, save_picture, write_labels
from tests.support.scenes import brightness, save_scene

HEADER = "id,decision,by,when,note"


def read(tmp_path, *lines):
    write_labels(tmp_path, lines, header=HEADER, name="mine.csv")
    return read_review(tmp_path, tmp_path / "mine" / "raw")


def test_decisions_by_id(tmp_path):
    found = read(tmp_path, "AB,keep,eva,2025-01-01,fine", "cd,drop,,,", "ef,relabel: cat ,,,")
    assert found == {
        "ab": Decision("keep", None, f"{tmp_path}/mine.csv:2", "eva", "2025-01-01", "fine"),
        "cd": Decision("drop", None, f"{tmp_path}/mine.csv:3"),
        "ef": Decision("relabel", "cat", f"{tmp_path}/mine.csv:4"),
    }


def test_no_file_or_no_rows_are_no_decisions(tmp_path):
    assert read_review(tmp_path / "review", tmp_path / "raw") == {}
    assert read(tmp_path) == {}


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["ab,Keep,,,"], r"mine\.csv:2: column 'decision': must be keep, drop or relabel:<label>"),
        (["ab,relabel:,,,"], "must be keep, drop or relabel"),
        (["ab,,,,"], "must be keep, drop or relabel.*write the decision, or delete the row"),
        (["ab,keep,,,", "ab,drop,,,"], r"mine\.csv:3.*must not contradict .*mine\.csv:2"),
        (["ab,relabel:a,,,", "ab,relabel:b,,,"], "must not contradict"),
    ],
)
def test_faults_are_named_by_line(tmp_path, lines, message):
    with pytest.raises(DataError, match=message):
        read(tmp_path, *lines)


def test_the_same_decision_twice_is_one(tmp_path):
    assert len(read(tmp_path, "ab,keep,eva,,", "ab,keep,tom,,")) == 1


def decide(raw, path, action, label=None):
    return {sha256_file(raw / path): Decision(action, label, "review/mine.csv:2")}


def test_drop(tmp_path):
    class_folders(tmp_path)
    cleaned = clean_folder(tmp_path, decisions=decide(tmp_path, "cat/03.png", "drop"))
    row = by_path(cleaned)["cat/03.png"]
    assert (row["status"], row["reason"]) == ("dropped", "review")
    assert row["split"] not in ("train", "val", "test")
    assert cleaned.report["status"] == {"kept": 47, "quarantined": 0, "dropped": 1}


def test_a_whole_class_may_be_dropped_by_people(tmp_path):
    class_folders(tmp_path)
    save_picture(tmp_path / "cow/1.png", 5000)
    cleaned = clean_folder(tmp_path, decisions=decide(tmp_path, "cow/1.png", "drop"))
    assert cleaned.report["classes"] == ["cat", "dog"]


def test_drop_settles_what_would_be_quarantined(tmp_path):
    class_folders(tmp_path)
    (tmp_path / "cat/bad.png").write_bytes(b"<html>")
    cleaned = clean_folder(tmp_path, decisions=decide(tmp_path, "cat/bad.png", "drop"))
    assert by_path(cleaned)["cat/bad.png"]["status"] == "dropped"
    assert cleaned.report["bad_frac"] == 0.0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (("drop",), {"03.png": "review", "again.bmp": "review"}),
        (("relabel", "dog"), {"03.png": None, "again.bmp": "duplicate"}),
        (("keep",), {"03.png": None, "again.bmp": "duplicate"}),
    ],
)
def test_a_copy_in_another_format_does_not_undo_a_decision(tmp_path, text, expected):
    picture = class_folders(tmp_path) / "cat/03.png"
    Image.open(picture).save(tmp_path / "cat/again.bmp")
    rows = by_path(clean_folder(tmp_path, decisions=decide(tmp_path, "cat/03.png", *text)))
    reasons = {name: rows[f"cat/{name}"]["reason"] for name in expected}
    assert {name: None if pd.isna(each) else each for name, each in reasons.items()} == expected
    if text[0] == "relabel":
        assert {rows[f"cat/{name}"]["label"] for name in expected} == {"dog"}


def test_a_copy_under_another_label_is_what_is_left_when_one_is_dropped(tmp_path):
    Image.open(class_folders(tmp_path) / "cat/03.png").save(tmp_path / "dog/again.bmp")
    rows = by_path(clean_folder(tmp_path, decisions=decide(tmp_path, "cat/03.png", "drop")))
    assert rows["cat/03.png"]["reason"] == "review"
    assert (rows["dog/again.bmp"]["status"], rows["dog/again.bmp"]["label"]) == ("kept", "dog")


def test_copies_that_were_decided_on_one_by_one(tmp_path):
    Image.open(class_folders(tmp_path) / "cat/03.png").save(tmp_path / "cat/again.bmp")
    both = decide(tmp_path, "cat/03.png", "drop") | decide(tmp_path, "cat/again.bmp", "keep")
    cleaned = clean_folder(tmp_path, decisions=both)
    assert by_path(cleaned)["cat/again.bmp"]["status"] == "kept"
    assert by_path(cleaned)["cat/03.png"]["reason"] == "review"


def test_a_copy_of_what_is_to_be_kept_goes_without_a_warning(tmp_path):
    shutil.copy(class_folders(tmp_path) / "cat/03.png", tmp_path / "cat/99.png")
    cleaned = clean_folder(tmp_path, decisions=decide(tmp_path, "cat/03.png", "keep"))
    assert by_path(cleaned)["cat/99.png"]["reason"] == "duplicate"
    assert cleaned.report["warnings"] == clean_folder(tmp_path).report["warnings"]


def test_relabel(tmp_path):
    class_folders(tmp_path)
    cleaned = clean_folder(tmp_path, decisions=decide(tmp_path, "cat/03.png", "relabel", "dog"))
    assert by_path(cleaned)["cat/03.png"]["label"] == "dog"


def test_relabel_settles_rows_that_disagree(tmp_path):
    class_folders(tmp_path / "raw")
    rows = [
        f"{path.parent.name}/{path.name},{path.parent.name}"
        for path in sorted((tmp_path / "raw").glob("*/*"))
    ]
    labels = write_labels(tmp_path, [*rows, "cat/00.png,dog"])
    bad = by_path(clean_folder(tmp_path / "raw", labels=labels))["cat/00.png"]
    assert (bad["status"], bad["reason"]) == ("quarantined", "conflict")
    decisions = {bad["id"]: Decision("relabel", "dog", "review/mine.csv:2")}
    settled = clean_folder(tmp_path / "raw", labels=labels, decisions=decisions)
    row = by_path(settled)["cat/00.png"]
    assert (row["status"], row["label"]) == ("kept", "dog")


def test_keep_lifts_a_size_and_nothing_else(tmp_path):
    class_folders(tmp_path)
    save_picture(tmp_path / "cat/small.png", 77, size=(7, 12))
    decisions = decide(tmp_path, "cat/small.png", "keep")
    assert by_path(clean_folder(tmp_path))["cat/small.png"]["reason"] == "too_small"
    assert by_path(clean_folder(tmp_path, decisions=decisions))["cat/small.png"]["status"] == "kept"
    (tmp_path / "cat/bad.png").write_bytes(b"<html>")
    decisions = decide(tmp_path, "cat/bad.png", "keep")
    cleaned = clean_folder(tmp_path, decisions=decisions)
    assert by_path(cleaned)["cat/bad.png"]["status"] == "quarantined"
    assert (
        "review/mine.csv:2: cat/bad.png is to be kept, and cannot be: not_image"
        in (cleaned.report["warnings"])
    )


def test_keep_lifts_a_near_duplicate_and_the_report_says_so(tmp_path):
    class_folders(tmp_path)
    many = {"max_near_frac": 1.0}
    for number in range(12):
        save_scene(tmp_path / f"cat/near{number:02}.png", 1, change=brightness(1.0 - number / 100))
    lost = [
        row for row in by_path(clean_folder(tmp_path, **many)).values() if row["status"] != "kept"
    ]
    path = lost[0]["path"]
    cleaned = clean_folder(tmp_path, decisions=decide(tmp_path, path, "keep"), **many)
    row = by_path(cleaned)[path]
    assert (row["status"], row["split"] in ("train", "val")) == ("kept", True)
    section = cleaned.report["near_duplicates"]
    assert (section["kept_by_review"], section["leaks_left"]) == ([path], 0)
    assert sum(section["dropped"].values()) == len(lost) - 1
    told = [each for each in cleaned.report["warnings"] if each.startswith("review/mine.csv:2: ")]
    assert len(told) == 1
    assert f"{path} stays in {row['split']}, although it is 1.0000 alike to cat/near" in told[0]


def test_decisions_on_unknown_items_are_told(tmp_path):
    class_folders(tmp_path)
    cleaned = clean_folder(tmp_path, decisions={"ff": Decision("drop", None, "review/mine.csv:9")})
    assert cleaned.report["warnings"][0] == (
        "review/mine.csv:9: no item has this id; 1 of 1 decisions are so"
    )


def test_the_report_lists_every_decision_and_the_label_before_it(tmp_path):
    class_folders(tmp_path)
    decisions = {
        sha256_file(tmp_path / path): Decision(action, label, "mine.csv:2", "eva", "today", note)
        for path, action, label, note in (
            ("cat/03.png", "relabel", "dog", "it barks"),
            ("cat/04.png", "drop", None, ""),
            ("dog/01.png", "keep", None, ""),
        )
    }
    decisions["ff"] = Decision("drop", None, "mine.csv:9")
    review = clean_folder(tmp_path, decisions=decisions).report["review"]
    assert review["items"] == {"keep": 1, "drop": 1, "relabel": 1}
    assert [(each["path"], each["label"], each["decision"]) for each in review["decisions"]] == [
        ("cat/03.png", "cat", "relabel:dog"),
        ("cat/04.png", "cat", "drop"),
        ("dog/01.png", "dog", "keep"),
    ]
    assert review["decisions"][0] | {"path": 0} == {
        "path": 0,
        "label": "cat",
        "decision": "relabel:dog",
        "by": "eva",
        "when": "today",
        "note": "it barks",
    }
    json.dumps(review, allow_nan=False)


def test_no_decisions_are_reported_too(tmp_path):
    class_folders(tmp_path)
    assert clean_folder(tmp_path).report["review"] == {
        "items": {"keep": 0, "drop": 0, "relabel": 0},
        "decisions": [],
    }
