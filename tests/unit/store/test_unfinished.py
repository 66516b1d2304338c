"""A build that ended early goes on from its finished shards, to the bytes of one from nothing."""

import os
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from pipeline.compute.engine import MachineParams
from pipeline.ground.errors import IntegrityError
from pipeline.ground.files import sha256_file
from pipeline.picture.shelf.params import TransformParams
from pipeline.store import encoded_shard
from pipeline.store.encoded_shard import Encoding
from pipeline.store.store import Store
from pipeline.store.unfinished import Builds, earlier_builds
from pipeline.store.writer import made_from, write_store

ONE = MachineParams.alone(workers=1, progress="none")
PARAMS = TransformParams.model_validate(
    {
        "size_px": 8,
        "resize": "squash",
        "interpolation": "bilinear",
        "background": [0, 0, 0],
        "white16": 65535,
        "shard_rows": 2,
    }
)
ENCODING = Encoding("picture", PARAMS.spec(), PARAMS.shard_rows)
ITEMS = 24
STORE, KEY = Path("store"), Path("key.json")


@pytest.fixture
def rows(tmp_path, monkeypatch):
    """The manifest's rows of some noisy pictures in `raw`, in the working folder."""
    monkeypatch.chdir(tmp_path)
    Path("raw").mkdir()
    generator = np.random.default_rng(3)
    names = [f"{number:02}.png" for number in range(ITEMS)]
    for name in names:
        noise = generator.integers(0, 256, (9, 9, 3), dtype=np.uint8)
        Image.fromarray(noise).save(Path("raw") / name)
    ids = [sha256_file(Path("raw") / name) for name in names]
    table = {"path": names, "id": ids, "label": "a", "split": "train", "group": "", "weight": 1.0}
    return pd.DataFrame(table)


@pytest.fixture
def encoded(monkeypatch):
    """The names of pictures that are encoded, as it happens."""
    done = []
    real = encoded_shard.encode_item
    monkeypatch.setattr(
        encoded_shard, "encode_item", lambda *work: done.append(work[3][0]) or real(*work)
    )
    return done


def build(rows, source="as ever"):
    with earlier_builds(STORE, key=KEY, made_from=source) as before:
        write_store(STORE, rows, ENCODING, raw=Path("raw"), machine=ONE, before=before)
    return {path.name: path.read_bytes() for path in STORE.iterdir()}


def kept():
    return sorted(Path(".rootstock/unfinished/store").rglob("*"))


def end_early(rows, at=ITEMS - 1, source="as ever"):
    """Build until a picture that was changed; then have it as it was."""
    path = Path("raw") / rows["path"][at]
    content = path.read_bytes()
    path.write_bytes(content + b"?")
    with pytest.raises(IntegrityError, match="has changed"):
        build(rows, source)
    path.write_bytes(content)
    assert not STORE.exists()


def from_nothing(rows):
    write_store(Path("whole"), rows, ENCODING, raw=Path("raw"), machine=ONE)
    return {path.name: path.read_bytes() for path in Path("whole").iterdir()}


def test_only_shards_that_were_not_finished_are_made(rows, encoded, caplog):
    caplog.set_level("INFO")
    end_early(rows)
    assert "finished shards are kept; the same command goes on" in caplog.text
    first = len(encoded)
    made = build(rows)
    again = encoded[first:]
    assert rows["path"][ITEMS - 1] in again
    assert len(again) <= 8, "of the last shard alone"
    assert "of them from a run that ended early" in caplog.text
    assert made == from_nothing(rows)
    assert not kept(), "what is whole leaves nothing"


def test_a_build_can_end_early_twice(rows, encoded):
    end_early(rows, at=ITEMS // 2)
    end_early(rows)
    first = len(encoded)
    made = build(rows)
    assert len(encoded[first:]) <= 8, "of the last shard alone"
    assert made == from_nothing(rows)


def test_items_may_come_and_go_meanwhile(rows):
    end_early(rows)
    fewer = rows.drop(index=[0, 7]).reset_index(drop=True)
    assert build(fewer) == from_nothing(fewer)


def test_what_was_made_from_else_goes(rows, encoded):
    end_early(rows)
    first = len(encoded)
    assert build(rows, source="other params") == from_nothing(rows)
    assert len(encoded[first:]) >= ITEMS
    assert not kept()


def test_what_was_made_from_else_goes_when_a_build_begins(rows):
    end_early(rows)
    (before,) = Path(".rootstock/unfinished/store").iterdir()
    end_early(rows, source="other params")
    (after,) = Path(".rootstock/unfinished/store").iterdir()
    assert before != after


def test_a_kept_file_that_is_damaged_is_made_again(rows, caplog):
    end_early(rows)
    damaged = next(path for path in kept() if path.is_file() and path.suffix != ".jsonl")
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"?")
    assert build(rows) == from_nothing(rows)
    assert "of a run that ended early is damaged" in caplog.text


def test_a_line_that_was_cut_off_costs_its_shard_alone(rows, encoded):
    end_early(rows)
    (journal,) = [path for path in kept() if path.suffix == ".jsonl"]
    journal.write_bytes(journal.read_bytes()[:-9])
    first = len(encoded)
    made = build(rows)
    assert 0 < len(encoded[first:]) <= 2 * 8
    assert made == from_nothing(rows)


def test_the_larger_of_both_builds_is_used(rows, encoded):
    """The last whole build lacks one picture, what was finished before an early end is less."""
    write_store(Path("last"), rows[1:], ENCODING, raw=Path("raw"), machine=ONE)
    end_early(rows, at=ITEMS // 2)
    first = len(encoded)
    with earlier_builds(STORE, key=KEY, made_from="as ever") as before:
        both = Builds(Path("last"), before.unfinished)
        write_store(STORE, rows, ENCODING, raw=Path("raw"), machine=ONE, before=both)
    assert encoded[first:] == [rows["path"][0]]


def test_without_links_nothing_is_kept_and_the_build_is_the_same(rows, monkeypatch):
    def refuse(*_):
        raise OSError(1, "no links here")

    monkeypatch.setattr(os, "link", refuse)
    end_early(rows)
    assert not [path for path in kept() if path.is_file()]
    assert build(rows) == from_nothing(rows)


def test_a_store_that_went_on_can_be_read(rows):
    end_early(rows)
    build(rows)
    store = Store.open(STORE)
    whole = from_nothing(rows)
    shutil.rmtree("whole")
    assert len(whole) == len(list(STORE.iterdir()))
    assert store.read(np.arange(ITEMS)).shape == (ITEMS, 3, 8, 8)
    assert made_from(ENCODING)["spec"] == store.spec.to_dict()
