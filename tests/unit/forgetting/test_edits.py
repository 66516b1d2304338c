"""What is taken out of raw data: all else keeps its bytes."""

import gzip
import hashlib
import io
import json
import tarfile
import zipfile

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from pipeline.forgetting.archives import cut_members
from pipeline.forgetting.edits import check_ids, label_rows, plan_edits
from pipeline.forgetting.lines import cut_lines, cut_parquet, cut_text_rows
from pipeline.ground.errors import DataError
from pipeline.raw.archive.archive import Archive
from pipeline.raw.items import find_items
from pipeline.raw.source import read_raw
from pipeline.raw.texts.cell_paths import Column
from pipeline.raw.texts.text_cells import TextCells
from tests.support.rawfolder import save_picture, write_labels

LONG = "x" * 120


def make(raw, paths):
    for number, path in enumerate(paths):
        save_picture(raw / path, number)
    return {path: (raw / path).read_bytes() for path in paths}


def do(raw, paths, known):
    for edit in plan_edits(raw, paths, known):
        edit.make()


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_a_member_of_a_tar_goes_and_all_other_bytes_stay(tmp_path, form):
    names = ["cat/1.png", f"cat/{LONG if form != tarfile.USTAR_FORMAT else 'y'}.png", "dog/1.png"]
    with tarfile.open(tmp_path / "a.tar", "w", format=form) as archive:
        for name in names:
            head = tarfile.TarInfo(name)
            head.size = 700
            archive.addfile(head, io.BytesIO(name[:3].encode() * 233 + b"!"))
    for gone in names:
        path = tmp_path / f"{form}-{names.index(gone)}.tar"
        path.write_bytes((tmp_path / "a.tar").read_bytes())
        cut_members(path, [gone])
        rest = [each for each in names if each != gone]
        archive = Archive(path)
        assert [each.path for each in archive.members()] == rest
        assert all(archive.read(n, 1000)[:3] == n[:3].encode() for n in rest)
        assert gone.encode() not in path.read_bytes()
        with tarfile.open(path) as read:
            assert read.getnames() == rest


def test_a_member_of_a_zip_goes_with_its_bytes(tmp_path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("cat/ä.png", b"one" * 99, zipfile.ZIP_DEFLATED)
        archive.writestr("cat/2.png", b"SECRET" * 99, zipfile.ZIP_STORED)
        archive.writestr("dog/3.png", b"three" * 99, zipfile.ZIP_STORED)
    cut_members(path, ["cat/2.png"])
    assert b"SECRET" not in path.read_bytes()
    assert b"cat/2.png" not in path.read_bytes()
    archive = Archive(path)
    assert [each.path for each in archive.members()] == ["cat/ä.png", "dog/3.png"]
    assert archive.read("cat/ä.png", 1000) == b"one" * 99
    with zipfile.ZipFile(path) as read:
        kinds = [each.compress_type for each in read.infolist()]
    assert kinds == [zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED]


def test_an_absent_member_changes_nothing(tmp_path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("1.png", b"one")
    before = path.read_bytes()
    with pytest.raises(DataError, match="lacks a member"):
        cut_members(path, ["2.png"])
    assert path.read_bytes() == before


@pytest.mark.parametrize("name", ["t.csv", "t.tsv", "t.csv.gz", "t.jsonl", "t.parquet"])
def test_rows_of_texts_go_and_the_rest_keeps_its_bytes(tmp_path, name):
    texts = ["first", 'a "quoted"\nline', "third", "fourth"]
    path, table = tmp_path / name, pd.DataFrame({"text": texts, "label": list("abab")})
    if name.endswith("parquet"):
        table.to_parquet(path, row_group_size=2)
    elif name.endswith("jsonl"):
        path.write_text("".join(json.dumps(row) + "\n" for row in table.to_dict("records")))
    else:
        table.to_csv(path, index=False, sep="\t" if "tsv" in name else ",")
    whole = gzip.decompress(path.read_bytes()) if name.endswith("gz") else path.read_bytes()
    cut_text_rows(path, Column("text"), {1, 3})
    cells = TextCells(path, name, Column("text"))
    left = [cells.read(f"text/{row:08}", 1000).decode() for row in range(2)]
    assert left == ["first", "third"]
    now = gzip.decompress(path.read_bytes()) if name.endswith("gz") else path.read_bytes()
    assert b"quoted" not in now
    assert b"fourth" not in now
    if not name.endswith("parquet"):
        kept = [line for line in whole.splitlines(True) if b"first" in line or b"third" in line]
        assert all(line in now for line in kept)


def test_rows_of_a_table_of_items_go_and_metadata_stay(tmp_path):
    path = tmp_path / "t.parquet"
    table = pd.DataFrame({"image": [bytes([n]) * 9 for n in range(5)], "label": list("ababa")})
    table.to_parquet(path, row_group_size=2, compression="zstd")
    before = pq.ParquetFile(path)
    cut_parquet(path, {0, 3})
    after = pq.ParquetFile(path)
    assert after.read().column("image").to_pylist() == [bytes([n]) * 9 for n in (1, 2, 4)]
    assert after.schema_arrow.metadata == before.schema_arrow.metadata
    assert after.metadata.row_group(0).column(0).compression == "ZSTD"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_lines_of_a_label_file_go(tmp_path, encoding):
    path = tmp_path / "labels.csv"
    text = 'path,label,note\r\n1.png,a,"two\r\nlines"\r\n2.png,b,x\r\n3.png,a,y\r\n'
    path.write_bytes(text.encode(encoding))
    cut_lines(path, {2})
    assert path.read_bytes() == text.replace('1.png,a,"two\r\nlines"\r\n', "").encode(encoding)
    with pytest.raises(DataError, match="was changed meanwhile"):
        cut_lines(path, {9})


def test_a_file_goes_with_its_notes_and_all_its_rows(tmp_path):
    raw = tmp_path / "raw"
    kept = make(raw, ["a.png", "a.1.png", "b.png", "c.png"])
    for note in ("a.xml", "b.json", "a.1.txt"):
        (raw / note).write_text("note")
    write_labels(raw, ["a.png,x", "b.png,y", "a.png,x", "c.png,x", "a.1.png,y"])
    while edits := label_rows(find_items(raw, raw, target="label"), raw, {"a.png"}):
        for edit in edits:
            edit.make()
    do(raw, ["a.png"], set(kept))
    left = sorted(each.name for each in raw.iterdir())
    assert left == ["a.1.png", "a.1.txt", "b.json", "b.png", "c.png", "labels.csv"]
    assert (raw / "labels.csv").read_text() == "path,label\nb.png,y\nc.png,x\na.1.png,y\n"


def test_members_of_samples_go_with_what_describes_them(tmp_path):
    raw = tmp_path / "raw"
    raw.mkdir()
    with tarfile.open(raw / "s-0.tar", "w") as archive:
        for key in ("001", "002"):
            for suffix in ("png", "cls", "json"):
                head = tarfile.TarInfo(f"{key}.{suffix}")
                head.size = 3
                archive.addfile(head, io.BytesIO(key.encode()))
    do(raw, ["s-0.tar/001.png"], {"s-0.tar/001.png", "s-0.tar/002.png"})
    left = [each.path for each in Archive(raw / "s-0.tar").members()]
    assert left == ["002.png", "002.cls", "002.json"]


def test_another_item_at_the_path_is_not_touched(tmp_path):
    raw = tmp_path / "raw"
    content = make(raw, ["a.png"])["a.png"]
    good = hashlib.sha256(content).hexdigest()
    assert check_ids(raw, {"a.png": good, "gone.png": good}) == ["a.png"]
    with pytest.raises(DataError, match="is another item"):
        check_ids(raw, {"a.png": "0" * 64})
    assert read_raw(raw, "a.png") == content
    assert np.frombuffer(content, np.uint8).size


def test_a_row_of_a_table_of_texts_goes_once_with_its_label(tmp_path):
    raw = tmp_path / "raw"
    raw.mkdir()
    (raw / "reviews.csv").write_text("text,label\ngood,a\nbad,b\nfine,a\n")
    found = find_items(raw, raw, target="label", text="text")
    path = found.items[1].path
    ids = {path: hashlib.sha256(b"bad").hexdigest()}
    assert check_ids(raw, ids) == [path]
    assert label_rows(found, raw, {path}) == []
    do(raw, [path], {each.path for each in found.items})
    assert (raw / "reviews.csv").read_text() == "text,label\ngood,a\nfine,a\n"
    assert check_ids(raw, {"reviews.csv/text/00000009": ids[path]}) == []
