"""`rootstock data strip` writes a whole copy, says what it left out, and overwrites nothing."""

import gzip
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.cli import main
from pipeline.compute.engine import MachineParams
from pipeline.ground.errors import DataError, ParamsError
from pipeline.strip.run import Options, strip_folder
from pipeline.strip.told import told
from tests.support.marked import EMAIL, MARKS, encoded, exif_segment, full_tags, in_jpeg

MACHINE = MachineParams.alone(workers=1, progress="none")
MARKED = in_jpeg(encoded("JPEG"), exif_segment(full_tags(6)))
TEXT = f"write to {EMAIL}, thanks"
MASKED = "write to [e-mail], thanks"


def options(text=None, texts="keep", encoding=None):
    return Options(text, encoding, texts, MACHINE)


@pytest.fixture
def raw(tmp_path):
    """Return a folder of pictures with marks, and of other things."""
    raw = tmp_path / "raw"
    files = {
        "cat/1.jpg": MARKED,
        "cat/2.png": encoded("PNG"),
        "dog/3.jpg": MARKED,
        "dog/broken.jpg": MARKED[:-80],
        "dog/3.xmp": EMAIL.encode(),
        "dog/film.mp4": b"film",
        "dog/photo.heic": b"\0\0\0\x18ftypheic",
        "labels.csv": b"path,label\ncat/1.jpg,cat\n",
        "more.zip": b"PK\5\6" + bytes(18),
        ".DS_Store": EMAIL.encode(),
    }
    for path, content in files.items():
        (raw / path).parent.mkdir(parents=True, exist_ok=True)
        (raw / path).write_bytes(content)
    return raw


def files_of(folder):
    return {
        each.relative_to(folder).as_posix(): each.read_bytes()
        for each in folder.rglob("*")
        if each.is_file()
    }


def test_a_folder_of_pictures(raw, tmp_path):
    before = files_of(raw)
    summary = strip_folder(raw, tmp_path / "out", options())
    found = files_of(tmp_path / "out")
    assert files_of(raw) == before
    assert sorted(found) == ["cat/1.jpg", "cat/2.png", "dog/3.jpg", "labels.csv"]
    assert found["cat/2.png"] == before["cat/2.png"]
    assert found["labels.csv"] == before["labels.csv"]
    assert not any(mark.encode() in content for content in found.values() for mark in MARKS)
    assert (summary.files, summary.changed) == (3, 2)
    assert summary.kinds["gps"] == summary.kinds["owner"] == 2
    assert summary.bytes_less == 2 * len(MARKED) - 2 * len(found["cat/1.jpg"])
    reasons = {path: why.split(":")[0] for path, why in summary.left_out}
    assert reasons == {
        "dog/3.xmp": "it holds what is taken out of the item beside it",
        "dog/broken.jpg": "truncated",
        "dog/film.mp4": "nobody knows what it carries",
        "dog/photo.heic": "format_not_allowed",
        "more.zip": "it holds other files",
    }
    text = told(summary, raw, tmp_path / "out", is_masked=True)
    assert "3 files of items are written, 2 of them changed" in text
    assert "left out: 'dog/broken.jpg': truncated" in text
    assert "left out: 1 hidden or system entries" in text
    assert f"next: `dvc add {tmp_path / 'out'}`" in text
    assert not any(mark in text for mark in MARKS)


def test_nothing_is_overwritten_and_nothing_is_left_half_written(raw, tmp_path, monkeypatch):
    for out in (raw, raw / "inner", tmp_path):
        with pytest.raises(ParamsError, match="OUT: must not"):
            strip_folder(raw, out, options())
    monkeypatch.setattr("pipeline.strip.run._copy_notes", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        strip_folder(raw, tmp_path / "out", options())
    assert [each.name for each in tmp_path.iterdir()] == ["raw"]


def test_a_folder_without_items(tmp_path):
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "a.csv").write_text("a\n1\n")
    with pytest.raises(DataError, match="has no item that can be written"):
        strip_folder(tmp_path / "raw", tmp_path / "out", options())
    assert not (tmp_path / "out").exists()


TABLES = {
    "a.csv": f'label,text\r\npos,"{TEXT}"\r\nneg,"say ""no"", twice"\r\n\r\npos,"{TEXT}"',
    "a.tsv": f'label\ttext\npos\t{TEXT}\nneg\t"say no\npos\t{TEXT} "\n',
    "a.jsonl": f'{{"text": "{TEXT}", "n": 1}}\n{{"text":  "same é", "n": 1.50}}\n{{"n": 2}}\n',
    "b.csv": f"\ufefftext;note\n{TEXT};\u20ac\nplain;x\n",
}


@pytest.mark.parametrize("name", [*TABLES, *(f"{name}.gz" for name in TABLES)])
def test_texts_in_tables(name, tmp_path):
    content = TABLES[name.removesuffix(".gz")].encode()
    raw = tmp_path / "raw"
    raw.mkdir()
    (raw / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    kept = strip_folder(raw, tmp_path / "kept", options("text"))
    assert files_of(tmp_path / "kept") == files_of(raw)
    masked = strip_folder(raw, tmp_path / "masked", options("text", "mask"))
    found = (tmp_path / "masked" / name).read_bytes()
    found = gzip.decompress(found) if name.endswith(".gz") else found
    n = TABLES[name.removesuffix(".gz")].count(EMAIL)
    assert kept.kinds == masked.kinds == {"email": n}
    assert (kept.changed, masked.changed) == (0, 1)
    plain = TABLES[name.removesuffix(".gz")].replace(TEXT, MASKED).encode()
    if name.startswith("a.jsonl"):
        assert [json.loads(line) for line in found.splitlines()] == [
            json.loads(line) for line in plain.splitlines()
        ]
        assert found.splitlines()[1:] == plain.splitlines()[1:]
    else:
        assert found == plain


def test_texts_in_another_encoding(tmp_path):
    (tmp_path / "raw").mkdir()
    content = f"text,label\ncafé {EMAIL},a\nété,b\n"
    (tmp_path / "raw" / "a.csv").write_bytes(content.encode("cp1252"))
    strip_folder(tmp_path / "raw", tmp_path / "out", options("text", "mask"))
    found = (tmp_path / "out" / "a.csv").read_bytes().decode("cp1252")
    assert found == content.replace(EMAIL, "[e-mail]")


@pytest.mark.parametrize(
    "kind", [pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string())]
)
def test_texts_in_parquet(kind, tmp_path):
    texts = pa.array([TEXT, None, "same"], pa.string())
    texts = (
        texts.dictionary_encode().cast(kind) if pa.types.is_dictionary(kind) else texts.cast(kind)
    )
    table = pa.table({"text": texts, "label": [1, 2, 3]}).replace_schema_metadata({"a": "b"})
    (tmp_path / "raw").mkdir()
    pq.write_table(table, tmp_path / "raw" / "a.parquet")
    strip_folder(tmp_path / "raw", tmp_path / "out", options("text", "mask"))
    found = pq.read_table(tmp_path / "out" / "a.parquet")
    assert found.schema.equals(table.schema)
    assert found.to_pydict() == {"text": [MASKED, None, "same"], "label": [1, 2, 3]}


def test_text_files(tmp_path):
    for path, text in (("pos/1.txt", TEXT), ("neg/2.txt", "plain"), ("README.txt", "read me")):
        (tmp_path / "raw" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "raw" / path).write_text(text)
    strip_folder(tmp_path / "raw", tmp_path / "kept", options(".txt"))
    assert files_of(tmp_path / "kept") == files_of(tmp_path / "raw")
    summary = strip_folder(tmp_path / "raw", tmp_path / "out", options(".txt", "mask"))
    assert files_of(tmp_path / "out") == files_of(tmp_path / "raw") | {"pos/1.txt": MASKED.encode()}
    assert summary.notes == ["README.txt"]


def test_a_text_that_cannot_be_read_stops_the_copy(tmp_path):
    (tmp_path / "raw").mkdir()
    table = pa.table({"text": pa.array([b"fine", b"\xff"], pa.binary())})
    pq.write_table(table, tmp_path / "raw" / "a.parquet")
    with pytest.raises(DataError, match=r"row 2: its byte 0 is no UTF-8"):
        strip_folder(tmp_path / "raw", tmp_path / "out", options("text", "mask"))
    assert not (tmp_path / "out").exists()


def test_the_command(raw, tmp_path, capsys):
    (out := tmp_path / "out").with_name("unused")
    assert main(["data", "strip", str(raw), str(out), "--workers", "1"]) == 0
    assert "taken out: " in capsys.readouterr().out
    assert main(["data", "strip", str(raw), str(out), "--workers", "1"]) == 2
    assert "OUT: must not be there yet" in capsys.readouterr().err
    assert main(["data", "strip", str(raw), str(tmp_path / "b"), "--workers", "0"]) == 2
