"""A wrong label file is refused with one line that names the file, the line and the remedy."""

import csv

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.ground.errors import DataError
from pipeline.raw.items import find_items

GOOD = "path,label\n1.png,cat\n2.png,dog\n"

FAULTS = {
    "empty": (b"", r"labels\.csv: is empty"),
    "blank": (b"\xef\xbb\xbf \n\n", r"labels\.csv: is empty"),
    "header-only": (b"path,label\n", r"labels\.csv: has a header and no rows"),
    "no-header": (
        b"1.png,cat\n2.png,dog\n",
        r"the column 'path' is missing \(the first line must be a header, and looks like an item",
    ),
    "utf-16-without-mark": (
        GOOD.encode("utf-16-le"),
        r"must be UTF-8, and looks like UTF-16 \(save it as UTF-8",
    ),
    "utf-16-cut": (GOOD.encode("utf-16")[:-1], "must be UTF-8, and is damaged UTF-16 at byte"),
    "latin-1": (
        GOOD.replace("dog", "caf\u00e9").encode("latin-1"),
        r"labels\.csv:3: must be UTF-8; byte 30 is 0xe9, as in Latin-1",
    ),
    "nul-bytes": (
        GOOD.encode() + b"\0\0\0",
        r"labels\.csv:4: must not hold NUL bytes; the first of 3 is byte 31",
    ),
    "short-row": (
        b"path,label\n1.png,cat\n2.png\n",
        r"labels\.csv:3: must have 2 cells, as the header has, got 1",
    ),
    "long-row": (
        b"path,label\n1.png,cat,big\n2.png,dog\n",
        r"labels\.csv:2: must have 2 cells, as the header has, got 3 \(a cell that holds a comma",
    ),
    "line-after-a-long-cell": (
        b'path,label\n1.png,"cat\nwith\nlines"\n2.png\n',
        r"labels\.csv:5: must have 2 cells",
    ),
    "unclosed-quote": (
        b'path,label\n1.png,cat\n2.png,"dog\n3.png,cat\n',
        r"labels\.csv:3: not valid CSV: a quote is opened and never closed",
    ),
    "text-after-quote": (b'path,label\n1.png,"cat"s\n', r"labels\.csv:2: not valid CSV"),
    "huge-cell": (b"path,label\n1.png," + b"x" * 200_000 + b"\n", "not valid CSV: field larger"),
    "column-twice": (
        b"path,label,label\n1.png,cat,dog\n",
        r"labels\.csv: the column 'label' is there twice \(rename one\)",
    ),
    "no-path": (b"thing,label\n1,cat\n", r"the column 'path' is missing \(the file has 'thing'"),
    "two-paths": (
        b"image,photo,label\n1,1,cat\n",
        r"'path' is missing, and several may be it: 'image', 'photo' \(rename the right one",
    ),
    "no-target": (
        b"path,labels\n1.png,cat\n",
        r"the column 'label' is missing \(write `data\.target: labels`, if that column holds",
    ),
    "target-of-another-name": (
        b"path,age,Diagnosis\n1.png,40,cat\n",
        r"the column 'label' is missing \(write `data\.target: Diagnosis`",
    ),
    "several-targets": (
        b"path,class,category\n1.png,0,cat\n",
        r"'label' is missing \(write one of these as `data\.target`: 'class', 'category'\)",
    ),
    "no-name-like-it": (
        b"path,color\n1.png,red\n",
        r"'label' is missing \(the file has 'path', 'color'; name the one with the labels in",
    ),
    "two-of-one-name": (b"path,Label,LABEL\n1.png,a,b\n", "several may be it: 'Label', 'LABEL'"),
    "several-ones": (
        b"path,cat,dog\n1.png,1,0\n2.png,1,1\n",
        r"labels\.csv:3: an item must have one label, and 2 of the columns 'cat', 'dog' hold a 1",
    ),
    "no-paths-at-all": (b"path,label\n,cat\n,dog\n", "the column 'path' is empty in every row"),
    "text-list-without-header": (b"1.png 0\n2.png 1\n", "the first line must be a header"),
    "unknown-split": (
        b"path,label,split\n1.png,cat,train\n2.png,dog,later\n",
        r"labels\.csv:3: column 'split': must be one of train, val, .* in every row, got 'later'",
    ),
    "split-for-some": (
        b"path,label,split\n1.png,cat,train\n2.png,dog,\n",
        r"labels\.csv:3: column 'split': must be one of .*, got ''",
    ),
    "weight-with-comma": (
        b'path,label,weight\n1.png,cat,"0,5"\n',
        r"labels\.csv:2: column 'weight': .*got '0,5' \(write a decimal point, not a comma\)",
    ),
    "negative-weight": (b"path,label,weight\n1.png,cat,-1\n", "must be a number of at least 0"),
    "infinite-weight": (b"path,label,weight\n1.png,cat,inf\n", "must be a number of at least 0"),
}


@pytest.fixture
def raw(tmp_path):
    folder = tmp_path / "raw"
    folder.mkdir()
    for name in ("1.png", "2.png"):
        (folder / name).write_bytes(b"x")
    return folder


@pytest.mark.parametrize(("content", "message"), FAULTS.values(), ids=FAULTS)
def test_csv(raw, content, message):
    csv.field_size_limit(1 << 17)  # what reads texts raises it for its process
    (raw / "labels.csv").write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        find_items(raw, raw, target="label")
    text = str(caught.value)
    assert text.startswith(str(raw / "labels.csv"))
    assert "\n" not in text
    assert caught.value.exit_code == 3


def test_the_good_file_is_good(raw):
    (raw / "labels.csv").write_text(GOOD, encoding="utf-8")
    found = find_items(raw, raw, target="label")
    assert [item.label for item in found.items] == ["cat", "dog"]


def test_parquet(raw):
    labels = raw / "labels.parquet"
    labels.write_bytes(b"PAR1 cut")
    with pytest.raises(DataError, match=r"labels\.parquet: not a readable parquet file"):
        find_items(raw, raw, target="label")
    pq.write_table(pa.table({"path": ["1.png"], "label": [["cat"]]}), labels)
    with pytest.raises(DataError, match=r"column 'label': must hold text or numbers, got 'list<"):
        find_items(raw, raw, target="label")
    pq.write_table(
        pa.table({"path": pa.array([], "string"), "label": pa.array([], "string")}), labels
    )
    with pytest.raises(DataError, match="has a header and no rows"):
        find_items(raw, raw, target="label")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("labels.xlsx", r"must be a \.csv, .* or \.parquet file \(save the sheet as CSV\)"),
        ("labels.json", r"file \(write it as CSV, or as JSON Lines"),
        ("labels.csv.gz", r"file \(unpack it\)"),
        ("none.csv", "no such file"),
    ],
)
def test_other_files(raw, tmp_path, name, message):
    with pytest.raises(DataError, match=message):
        find_items(raw, tmp_path / name, target="label")
