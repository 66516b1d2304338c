"""A search finds an item wherever it hides, and nothing where it does not."""

import gzip
import hashlib
import html
import io
import json
import sqlite3
import tarfile
import zipfile
from contextlib import closing

import numpy as np
import pandas as pd
import pytest

from pipeline.forgetting.history import Seen, follow
from pipeline.forgetting.look import FOLLOWED, INSIDE, ITSELF, NAMED, ROW, found_in
from pipeline.forgetting.needles import make_needles
from pipeline.forgetting.traces import Traces
from pipeline.manifest.forgotten import Forgetting
from pipeline.repo.lock import Lock

SECRET = 'a "secret" text,\nof two lines'
ITEM = SECRET.encode()
PATH = "cat/Ann & Bob ä.png"
ROW_OF_IT = np.arange(12, dtype=np.uint8)


def sha256(content):
    return hashlib.sha256(content).hexdigest()


def md5(content):
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


DECISION = Forgetting("a", "t", "r", ((sha256(ITEM), None),), (md5(b"old archive"),))
TRACES = Traces((PATH,), (sha256(ROW_OF_IT.tobytes()),), (md5(b"a model"), md5(b"both")))
NEEDLES = make_needles([DECISION], TRACES, Seen(clean={md5(b"both")}), {"dog/1.png"})


def tar(item):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name, content in (("a", b"other"), ("b", item)):
            head = tarfile.TarInfo(name)
            head.size = len(content)
            archive.addfile(head, io.BytesIO(content))
    return stream.getvalue()


def zipped(item):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a", item)
    return stream.getvalue()


def parquet(value):
    stream = io.BytesIO()
    other = {"bytes": b"other", "path": None} if isinstance(value, dict) else "other"
    pd.DataFrame({"x": [other, value], "n": [1, 2]}).to_parquet(stream)
    return stream.getvalue()


def npy(row):
    stream = io.BytesIO()
    np.save(stream, np.stack([np.zeros(12, np.uint8), row]))
    return stream.getvalue()


def table(text, **kind):
    return pd.DataFrame({"text": ["other", text], "label": ["a", "b"]}).to_csv(**kind).encode()


def jsonl(text):
    return b"".join(json.dumps({"text": each}).encode() + b"\n" for each in ("other", text))


HIDDEN = {
    "itself": (lambda item, _: item, ITSELF),
    "tar": (lambda item, _: tar(item), INSIDE),
    "zip": (lambda item, _: zipped(item), INSIDE),
    "parquet of bytes": (lambda item, _: parquet({"bytes": item, "path": None}), INSIDE),
    "parquet of texts": (lambda item, _: parquet(item.decode()), INSIDE),
    "csv": (lambda item, _: table(item.decode()), INSIDE),
    "tsv.gz": (lambda item, _: gzip.compress(table(item.decode(), sep="\t")), INSIDE),
    "jsonl": (lambda item, _: jsonl(item.decode()), INSIDE),
    "id": (lambda item, _: b"x" * 5_000_000 + sha256(item).encode(), NAMED),
    "id over the end of a block": (
        lambda item, _: b"x" * ((1 << 22) - 9) + b" " + sha256(item).encode(),
        NAMED,
    ),
    "id in parquet": (lambda item, _: parquet(sha256(item)), NAMED),
    "path": (lambda _, path: f"data/mine/raw/{path}: dropped".encode(), NAMED),
    "path in HTML": (lambda _, path: f'<img alt="{html.escape(path)}">'.encode(), NAMED),
    "path in JSON": (lambda _, path: json.dumps({"path": path}).encode(), NAMED),
}


@pytest.mark.parametrize("name", HIDDEN)
def test_it_is_found(tmp_path, name):
    make, what = HIDDEN[name]
    (tmp_path / "x").write_bytes(make(ITEM, PATH))
    assert what in found_in(tmp_path / "x", NEEDLES)
    (tmp_path / "y").write_bytes(make(b"another item, as good", "cat/other.png"))
    assert found_in(tmp_path / "y", NEEDLES) == []


def test_its_row_in_a_store_is_found(tmp_path):
    (tmp_path / "x").write_bytes(npy(ROW_OF_IT))
    assert found_in(tmp_path / "x", NEEDLES) == [ROW]
    (tmp_path / "x").write_bytes(npy(ROW_OF_IT + 1))
    assert found_in(tmp_path / "x", NEEDLES) == []


def test_what_was_made_with_it_is_found_but_for_what_others_have_too(tmp_path):
    for content, found in ((b"a model", [FOLLOWED]), (b"old archive", [FOLLOWED]), (b"both", [])):
        (tmp_path / "x").write_bytes(content)
        assert found_in(tmp_path / "x", NEEDLES) == found


def test_a_database_is_read(tmp_path):
    with closing(sqlite3.connect(tmp_path / "x.db")) as database:
        database.execute("create table tags (value text)")
        database.execute("insert into tags values (?)", ("y" * 9000 + f" {PATH}",))
        database.commit()
    assert found_in(tmp_path / "x.db", NEEDLES) == [NAMED]


@pytest.mark.parametrize("text", [f"bob{PATH}", f"{PATH}.xml", "dog/1.png", PATH[:-1]])
def test_other_paths_are_others(tmp_path, text):
    (tmp_path / "x").write_text(text)
    assert found_in(tmp_path / "x", NEEDLES) == []


@pytest.mark.parametrize("head", [b"PK\x03\x04", b"PAR1", b"\x93NUMPY", b"\x1f\x8b", b"SQLite f"])
def test_what_is_not_what_it_seems_is_searched_by_its_bytes(tmp_path, head):
    (tmp_path / "x").write_bytes(head + b" broken " + sha256(ITEM).encode())
    assert found_in(tmp_path / "x", NEEDLES) == [NAMED]


def test_outputs_follow_from_what_their_stages_read():
    def stage(deps, outs):
        return {
            "cmd": "x",
            "deps": [{"path": each, "md5": each} for each in deps],
            "outs": [{"path": each, "md5": each} for each in outs],
        }

    stages = {
        "weights": stage([], ["backbone"]),
        "train": stage(["store", "backbone"], ["model"]),
        "clean": stage(["raw"], ["manifest"]),
        "transform": stage(["manifest"], ["store"]),
    }
    lock = Lock({"stages": stages}, "dvc.lock")
    assert follow(lock, {"raw"}) == {"manifest", "store", "model"}
    assert follow(lock, {"other"}) == set()
