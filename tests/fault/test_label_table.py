"""Bad label files, row by row of a table, through the stage `clean`.

The numbers are those of the project's table of faults. A file that is wrong as a whole ends the
stage with one line; a row that is wrong costs its item, which has its reason in the manifest.
"""

import json
import os
import re
import unicodedata

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from pipeline.manifest.manifest import read_manifest
from tests.support.staged import run_clean

N = 48
NAMES = [f"p{number:02}.png" for number in range(N)]
SPLITS = ["train", "train", "val", "test"]


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    for number, name in enumerate(NAMES):
        noise = np.random.default_rng(number).integers(0, 256, (32, 32), dtype=np.uint8)
        Image.fromarray(noise).save(folder / name)
    return folder


@pytest.fixture
def project(tmp_path, pictures):
    """A folder with good pictures; each test writes its label file."""
    (tmp_path / "raw").mkdir()
    for name in NAMES:
        os.link(pictures / name, tmp_path / "raw" / name)
    return tmp_path


def labels(*changed, header="path,label", n=N, line=None):
    """Give a label file of cats and dogs; `changed` lines take the place of the first ones."""
    line = line or (lambda number: f"{NAMES[number]},{('cat', 'dog')[number // 2 % 2]}")
    lines = [*changed, *(line(number) for number in range(len(changed), n))]
    return "\n".join([header, *lines]) + "\n"


def with_splits(change=lambda number, label, split: (label, split)):
    def line(number):
        label, split = change(number, ("cat", "dog")[number // 4 % 2], SPLITS[number % 4])
        return f"{NAMES[number]},{label},{split}"

    return labels(header="path,label,split", line=line)


def regression(first):
    return labels(f'p00.png,"{first}"', line=lambda number: f"{NAMES[number]},{number}.5")


GOOD = labels()
CAFE = "caf\u00e9"
WHERE = r"error: raw/labels\.csv"
STOPS = {
    "46 case": (labels("p00.png,Cat"), 3, r"spelled in several ways: 'Cat' "),
    "46 composed and not": (
        labels(f"p00.png,{CAFE}", f"p01.png,{unicodedata.normalize('NFD', CAFE)}"),
        3,
        r"spelled in several ways",
    ),
    "46 invisible mark": (labels("p00.png,ca\u200bt"), 3, r"spelled in several ways"),
    "47 UTF-16 without a mark": (
        GOOD.encode("utf-16-le"),
        3,
        WHERE + r": must be UTF-8, and looks like UTF-16",
    ),
    "48 Latin-1": (
        labels("p00.png,caf\u00e9").encode("latin-1"),
        3,
        WHERE + r":2: must be UTF-8; byte 22 is 0xe9, as in Latin-1",
    ),
    "51 NUL bytes": (
        GOOD + "\0\0",
        3,
        WHERE + r":50: must not hold NUL bytes; the first of 2 is "
        rf"byte {len(GOOD)} ",
    ),
    "52 ragged row": (labels("p00.png"), 3, WHERE + r":2: must have 2 cells, .*got 1"),
    "53 unclosed quote": (
        GOOD.replace("p47.png,", 'p47.png,"'),
        3,
        WHERE + r":49: not valid CSV: a quote is opened and never closed",
    ),
    "54 empty": ("", 3, WHERE + r": is empty"),
    "55 header alone": ("path,label\n", 3, WHERE + r": has a header and no rows"),
    "56 no header": (GOOD.partition("\n")[2], 3, r"the first line must be a header, and looks"),
    "57 column twice": (
        labels(header="path,label,label", line=lambda n: f"{NAMES[n]},a,b"),
        3,
        WHERE + r": the column 'label' is there twice",
    ),
    "62 one class": (GOOD.replace("dog", "cat"), 3, r"error: raw: there must be two classes or"),
    "63 no usable row": (
        labels(*(f"x{n}.png,cat" for n in range(N))),
        3,
        WHERE + r": none of its 48 paths names a file in raw; first: 'x0\.png' "
        r"\(raw/labels\.csv:2\) \(write paths relative to raw, as 'p00\.png'",
    ),
    "65 label in test alone": (
        with_splits(lambda n, label, split: ("bird" if n == 3 else label, split)),
        3,
        r"error: raw: the class 'bird' has 1 items, none of them in train",
    ),
    "66 no train": (
        with_splits(lambda n, label, split: (label, split.replace("train", "test"))),
        3,
        r"the given splits must have a train, and there is only val",
    ),
    "68 unknown split": (
        with_splits(lambda n, label, split: (label, split if n else "later")),
        3,
        WHERE + r":2: column 'split': must be one of train, val, .*got 'later'",
    ),
    "71 several labels": (
        labels("p00.png,cat|dog"),
        3,
        WHERE + r":2: an item must have one label, and not several",
    ),
    "73 a class for each item": (
        labels("p00.png,name", *(f"x{n},name{n}" for n in range(200))),
        3,
        r"a class must have some items, and .*is data\.target the column",
    ),
}
"""What the label file holds, the exit code, and the last line."""


def last_line(capsys):
    told = capsys.readouterr().err
    assert "Traceback" not in told
    return told.splitlines()[-1]


@pytest.mark.parametrize(("content", "code", "message"), STOPS.values(), ids=STOPS)
def test_a_file_that_is_wrong_as_a_whole(project, capsys, content, code, message):
    raw = content if isinstance(content, bytes) else content.encode()
    (project / "raw/labels.csv").write_bytes(raw)
    assert run_clean(project) == code
    assert re.search(message, last_line(capsys))
    assert not (project / "out").exists()


def test_what_a_stop_may_come_from_is_told_before_it(project, capsys):
    content = labels(*(f"p{n:02},cat" for n in range(6)), "gone,cat")
    (project / "raw/labels.csv").write_text(content, encoding="utf-8")
    assert run_clean(project, clean={"max_bad_frac": 0.05}) == 3
    told = capsys.readouterr().err
    assert "7 of 48 paths in labels.csv name no file as they are written; 6 of them would" in told
    assert re.search(r"error: raw: \d+ of 55 items are bad: ", told.splitlines()[-1])


def test_67_fractions_that_do_not_sum_to_one_are_a_wrong_param(project, capsys):
    (project / "raw/labels.csv").write_text(GOOD, encoding="utf-8")
    assert run_clean(project, split={"train": 0.5, "val": 0.1, "test": 0.1}) == 2
    assert "train + val + test must be 1, got 0.7" in last_line(capsys)


@pytest.mark.parametrize("value", ["nan", "inf", "1,5", "five", "1e999"])
def test_72_numbers_that_are_none(project, capsys, value):
    (project / "raw/labels.csv").write_text(regression(value), encoding="utf-8")
    assert run_clean(project, task="regression") == 3
    line = last_line(capsys)
    assert "raw/labels.csv:2: the label must be a finite number" in line
    assert ("write a decimal point: 1.5" in line) == (value == "1,5")


def test_73_a_giant_is_refused_unread(project, capsys):
    with (project / "raw/labels.csv").open("wb") as stream:
        stream.truncate(80_000_000_000)
    assert run_clean(project) == 3
    assert "raw/labels.csv: must have at most 68719476736 bytes" in last_line(capsys)


@pytest.mark.parametrize("name", ["labels.csv", "labels.parquet"])
def test_a_pipe_is_not_waited_for(project, capsys, name):
    os.mkfifo(project / name)
    assert run_clean(project, labels=name) == 3
    assert f"error: {name}: must be a regular file" in last_line(capsys)


def clean_rows(project, content, **sections):
    raw = content if isinstance(content, bytes) else content.encode()
    (project / "raw/labels.csv").write_bytes(raw)
    assert run_clean(project, **sections) == 0
    rows = read_manifest(project / "out/manifest.parquet").to_dict("records")
    report = json.loads((project / "out/report.json").read_text(encoding="utf-8"))
    return {row["path"]: row for row in rows}, report


def text(value):
    return None if value != value else value  # NaN


def test_44_45_49_texts_stay_what_they_are(project):
    names = ("NA", "None", "null", "001", "1", "True", "0x1", "nan")
    lines = [f"{NAMES[n]},{names[n % len(names)]}" for n in range(46)]
    content = ("\ufeff" + labels(*lines, "p46.png,", "p47.png,  ")).replace("\n", "\r\n")
    rows, report = clean_rows(project, content, split={"train": 0.8, "val": 0.1, "test": 0.1})
    for number in range(46):
        assert rows[NAMES[number]]["label"] == names[number % len(names)]
    assert report["classes"] == sorted(names)
    assert [(rows[f"p4{n}.png"]["reason"], text(rows[f"p4{n}.png"]["label"])) for n in (6, 7)] == [
        ("no_label", None)
    ] * 2
    assert (
        "the labels '001' and '1' are the same number, and different classes" in report["warnings"]
    )


def test_58_to_61_rows_that_cost_their_item(project):
    changed = [
        "p00.png,cat",
        "p00.png,cat",
        "p01.png,cat",
        "p01.png,dog",
        "gone.png,cat",
        "p02.png,dog",
        "../../etc/passwd,cat",
        "/etc/passwd,dog",
        "https://x.org/a.png,cat",
        "C:\\a.png,dog",
        ".\\p03.png,cat",
        "sub\\..\\..\\x.png,dog",
    ]
    rows, report = clean_rows(project, labels(*changed, n=N))
    reasons = {path: row["reason"] for path, row in rows.items() if row["status"] != "kept"}
    unlabeled = {f"p{n:02}.png": "no_label" for n in range(4, 12)}
    assert reasons == unlabeled | {
        "p01.png": "conflict",
        "gone.png": "missing_file",
        "../../etc/passwd": "unsafe_path",
        "/etc/passwd": "unsafe_path",
        "https://x.org/a.png": "unsafe_path",
        "C:\\a.png": "unsafe_path",
        "sub\\..\\..\\x.png": "unsafe_path",
    }
    assert rows["p03.png"]["label"] == "cat"
    assert "raw/labels.csv:3: 'p00.png' again, as in raw/labels.csv:2" in report["warnings"][0]
    assert report["warnings"][1].startswith("1 files have rows that disagree on the label, ")
    assert report["warnings"][2].startswith("8 of 48 files have no row in labels.csv")


def test_69_a_rare_class_is_told(project, pictures):
    for number in range(300):
        noise = np.random.default_rng(1000 + number).integers(0, 256, (32, 32), dtype=np.uint8)
        Image.fromarray(noise).save(project / f"raw/more{number}.png")
    more = "".join(f"more{number}.png,cat\n" for number in range(300))
    content = labels(line=lambda number: f"{NAMES[number]},{'dog' if number < 3 else 'cat'}")
    split = {"seed": 2, "train": 0.9, "val": 0.05, "test": 0.05}
    _, report = clean_rows(project, content + more, split=split)
    (warning,) = (each for each in report["warnings"] if "balanced_accuracy" in each)
    assert warning.startswith("the class 'cat' has 345 items, 'dog' has 3: ")


def test_parquet_has_the_same_rules(project, capsys):
    table = pa.table({"path": [*NAMES[:-1], "../x.png"], "label": ["cat", "dog"] * 24})
    pq.write_table(table, project / "raw/labels.parquet")
    assert run_clean(project) == 0
    rows = read_manifest(project / "out/manifest.parquet").to_dict("records")
    reasons = {row["path"]: row["reason"] for row in rows if row["status"] != "kept"}
    assert reasons == {"../x.png": "unsafe_path", "p47.png": "no_label"}
    whole = (project / "raw/labels.parquet").read_bytes()
    for broken in (whole[: len(whole) // 2], whole[:4], b"", b"PAR1" + bytes(99) + b"PAR1"):
        (project / "raw/labels.parquet").write_bytes(broken)
        assert run_clean(project) == 3
        assert last_line(capsys) == "error: raw/labels.parquet: not a readable parquet file"
