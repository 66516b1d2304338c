"""The store gives back the decoded pictures, row by row, and refuses raw files that changed."""

import hashlib
import os

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from pydantic import ValidationError

from pipeline.compute.engine import MachineParams
from pipeline.ground.errors import DataError, IntegrityError, MachineError
from pipeline.ground.files import sha256_file
from pipeline.ground.params import load_section
from pipeline.manifest.manifest import write_manifest
from pipeline.picture.read.decode import DecodeSpec, decode
from pipeline.picture.shelf.params import TransformParams
from pipeline.store import encoded_shard
from pipeline.store.store import COLUMNS, DIGEST, Store
from pipeline.store.unfinished import Builds
from pipeline.store.writer import write_store
from stages.transform import main
from tests.support.encoding import encoding
from tests.support.unchecked import unchecked

ONE = MachineParams.alone(workers=1, progress="none")
VALUES = {
    "size_px": 8,
    "resize": "squash",
    "interpolation": "bilinear",
    "background": [1, 2, 3],
    "white16": 65535,
    "shard_rows": 3,
}
PARAMS = TransformParams.model_validate(VALUES)


@pytest.fixture
def raw(tmp_path):
    """A folder of seven noisy pictures, gray and color, of different sizes."""
    folder = tmp_path / "raw"
    (folder / "sub").mkdir(parents=True)
    rng = np.random.default_rng(5)
    for number in range(7):
        shape = (9 + number, 12) if number % 2 else (9 + number, 12, 3)
        image = Image.fromarray(rng.integers(0, 256, shape, dtype=np.uint8))
        image.save(folder / ("sub" if number > 4 else ".") / f"{number}.png")
    return folder


def manifest(raw):
    files = sorted(raw.rglob("*.png"))
    return pd.DataFrame(
        {
            "path": [file.relative_to(raw).as_posix() for file in files],
            "id": [sha256_file(file) for file in files],
            "label": [f"class {at % 2}" for at in range(len(files))],
            "split": ["train", "val", "test", "train", "train", "val", "train", "val"][
                : len(files)
            ],
            "group": None,
            "weight": 0.5,
            "status": "kept",
            "width": 12,
            "meta.line": [f"L{at}" for at in range(len(files))],
        }
    )


def write(folder, raw, rows=None, params=PARAMS, old=None):
    rows = manifest(raw) if rows is None else rows
    write_store(folder, rows, encoding(params), raw=raw, machine=ONE, before=Builds(old))
    return Store.open(folder)


def test_every_row_holds_its_decoded_picture(tmp_path, raw):
    rows = manifest(raw)
    store = write(tmp_path / "store", raw)
    pictures = store.read(np.arange(7))
    assert pictures.dtype == np.uint8
    for row, path in enumerate(rows["path"]):
        expected = decode((raw / path).read_bytes(), PARAMS.spec())
        assert np.array_equal(pictures[row], expected), path
    assert len(np.unique(pictures[:, 0, 0, 0])) > 1


def test_rows_are_read_in_the_order_asked_for_and_may_repeat(tmp_path, raw):
    store = write(tmp_path / "store", raw)
    everything = store.read(np.arange(7))
    wanted = np.array([6, 0, 3, 3, 2])
    assert np.array_equal(store.read(wanted), everything[wanted])
    assert store.read(np.array([], dtype=np.int64)).shape == (0, 3, 8, 8)


def test_what_was_read_is_a_copy(tmp_path, raw):
    store = write(tmp_path / "store", raw)
    store.read(np.array([0]))[:] = 0
    assert store.read(np.array([0])).any()


@pytest.mark.parametrize("rows", [[7], [-1], [0, 99]], ids=str)
def test_rows_that_do_not_exist_are_refused(tmp_path, raw, rows):
    with pytest.raises(IndexError):
        write(tmp_path / "store", raw).read(np.array(rows))


def test_the_index_holds_what_later_stages_need(tmp_path, raw):
    store = write(tmp_path / "store", raw)
    assert list(store.index.columns) == [*COLUMNS, "meta.line", DIGEST]
    assert store.index.index.tolist() == list(range(7))
    assert store.index["path"].tolist() == manifest(raw)["path"].tolist()
    assert store.index["weight"].tolist() == [0.5] * 7
    assert len(store) == 7
    assert store.spec.size_px == 8
    assert store.spec == DecodeSpec(8, "squash", "bilinear", (1, 2, 3))


def test_splits_are_row_numbers(tmp_path, raw):
    store = write(tmp_path / "store", raw)
    assert store.rows("train").tolist() == [0, 3, 4, 6]
    assert store.rows("val").tolist() == [1, 5]
    assert store.rows("none").tolist() == []
    assert store.rows("train").dtype == np.int64


def test_shards_are_plain_numpy_files(tmp_path, raw):
    store = write(tmp_path / "store", raw)
    files = sorted(path.name for path in store.folder.iterdir())
    shards = [each["file"] for each in store.values.files]
    assert files == ["index.parquet", *shards, "store.json"]
    loaded = [np.load(store.folder / name) for name in shards]
    assert len(loaded) > 1
    assert np.array_equal(np.concatenate(loaded), store.read(np.arange(7)))


def test_the_digest_of_each_picture_stands_in_the_index(tmp_path, raw):
    store = write(tmp_path / "store", raw)
    digests = [hashlib.sha256(pixels.tobytes()).hexdigest() for pixels in store.read(np.arange(7))]
    assert store.index[DIGEST].tolist() == digests


def test_pictures_of_an_older_store_are_not_decoded_again(tmp_path, raw, monkeypatch):
    write(tmp_path / "old", raw)
    Image.new("L", (9, 9), 77).save(raw / "new.png")
    (raw / "1.png").unlink()
    write(tmp_path / "scratch", raw)
    decoded = []
    real = encoded_shard.encode_item
    monkeypatch.setattr(
        encoded_shard, "encode_item", lambda *work: decoded.append(work[3][0]) or real(*work)
    )
    write(tmp_path / "store", raw, old=tmp_path / "old")
    assert decoded == ["new.png"]
    for path in (tmp_path / "scratch").iterdir():
        assert (tmp_path / "store" / path.name).read_bytes() == path.read_bytes(), path.name


def test_a_damaged_older_store_costs_time_and_nothing_else(tmp_path, raw, caplog):
    store = write(tmp_path / "scratch", raw)
    for number, name in enumerate(["index.parquet", "store.json", "shard-00000.npy"]):
        write(tmp_path / f"old{number}", raw)
        path = tmp_path / f"old{number}" / name
        path.write_bytes(path.read_bytes()[:-1] + b"?")
        write(tmp_path / "store", raw, old=tmp_path / f"old{number}")
        assert store.values.files == Store.open(tmp_path / "store").values.files
    assert caplog.text.count("the last build cannot be used") == 2
    assert caplog.text.count("of the last build is damaged") == 1


def test_an_older_store_is_replaced_whole(tmp_path, raw):
    write(tmp_path / "store", raw)
    rows = manifest(raw).iloc[:2]
    store = write(tmp_path / "store", raw, rows.reset_index(drop=True))
    assert len(store) == 2
    assert len(list(store.folder.glob("shard-*"))) == len(store.values.files)


def test_a_changed_raw_file_is_named(tmp_path, raw):
    rows = manifest(raw)
    Image.new("L", (9, 9)).save(raw / "1.png")
    with pytest.raises(IntegrityError, match=r"1\.png: has changed since `clean` saw it"):
        write(tmp_path / "store", raw, rows)
    assert not (tmp_path / "store").exists()
    assert not list(tmp_path.glob(".tmp-*"))


def test_a_missing_raw_file_is_named(tmp_path, raw):
    rows = manifest(raw)
    (raw / "1.png").unlink()
    with pytest.raises(IntegrityError, match=r"1\.png: `clean` saw it, now: No such file"):
        write(tmp_path / "store", raw, rows)


def test_a_fifo_in_place_of_a_raw_file_does_not_hang(tmp_path, raw):
    rows = manifest(raw)
    (raw / "1.png").unlink()
    os.mkfifo(raw / "1.png")
    with pytest.raises(IntegrityError, match=r"1\.png"):
        write(tmp_path / "store", raw, rows)


def test_what_cannot_be_decoded_is_named(tmp_path, raw):
    (raw / "1.png").write_bytes(b"<html>")
    with pytest.raises(DataError, match=r"1\.png: cannot be decoded: not_image: .* HTML page"):
        write(tmp_path / "store", raw)


def test_no_rows_make_no_store(tmp_path, raw):
    with pytest.raises(DataError, match="there is no item to keep"):
        write(tmp_path / "store", raw, manifest(raw).iloc[:0])
    assert not (tmp_path / "store").exists()


def test_a_disk_without_room_for_two_copies_is_refused_before_decoding(tmp_path, raw):
    rows = pd.DataFrame(index=range(1_400_000), columns=COLUMNS)
    huge = TransformParams.model_validate(VALUES | {"size_px": 4096})
    with pytest.raises(MachineError, match=r"needs 140,928,614 MB with DVC's copy"):
        write(tmp_path / "store", raw, rows, huge)


def test_no_store_is_missing_data(tmp_path):
    with pytest.raises(DataError, match=r"store\.json: no such file \(run `dvc repro`\)"):
        Store.open(tmp_path)


def test_the_stage_stores_the_kept_rows_alone(tmp_path, raw):
    rows = manifest(raw).assign(status="kept", reason=None, height=9, mode="L", format="PNG")
    rows.loc[2, ["status", "reason", "split"]] = ["quarantined", "conflict", None]
    write_manifest(tmp_path / "manifest.parquet", rows)
    main(
        unchecked(PARAMS),
        ONE,
        raw=raw,
        manifest=tmp_path / "manifest.parquet",
        store=tmp_path / "store",
        key=tmp_path / "key.json",
    )
    index = Store.open(tmp_path / "store").index
    assert index["path"].tolist() == [path for at, path in enumerate(rows["path"]) if at != 2]


def test_store_json_records_the_sums_of_all_files(tmp_path, raw):
    store = write(tmp_path / "store", raw)
    recorded = (store.folder / "store.json").read_text()
    for path in store.folder.iterdir():
        if path.name != "store.json":
            assert hashlib.sha256(path.read_bytes()).hexdigest() in recorded


def test_params_are_read_as_yaml_gives_them(tmp_path):
    params = load_section({"transform": VALUES}, "transform", TransformParams, path=tmp_path)
    assert params.background == (1, 2, 3)


@pytest.mark.parametrize(
    "change",
    [
        {"size_px": 0},
        {"size_px": 224.0},
        {"background": [0, 0, 256]},
        {"background": [0, 0]},
        {"background": [0, 0, "0"]},
        {"resize": "stretch"},
        {"interpolation": "nearest"},
        {"shard_rows": 0},
        {"shards": 3},
    ],
    ids=str,
)
def test_bad_params_cannot_exist(change):
    with pytest.raises(ValidationError):
        TransformParams.model_validate(VALUES | change)
