"""A store depends on rows, files and params alone: same input, same bytes, however many workers."""

import io
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from pipeline.compute.engine import MachineParams
from pipeline.ground.files import sha256_file
from pipeline.picture.read.decode import decode
from pipeline.picture.shelf.params import TransformParams
from pipeline.store.store import Store
from pipeline.store.writer import write_store
from tests.support.encoding import encoding


def make_raw(folder, count, seed=0):
    folder.mkdir()
    rng = np.random.default_rng(seed)
    for number in range(count):
        shape = tuple(rng.integers(1, 24, size=2)) + ((3,) if number % 3 else ())
        image = Image.fromarray(rng.integers(0, 256, shape, dtype=np.uint8))
        image.save(folder / f"{number:03d}.png")
    files = sorted(folder.iterdir())
    return pd.DataFrame(
        {
            "path": [file.name for file in files],
            "id": [sha256_file(file) for file in files],
            "label": "a",
            "split": ["train", "val", "test"] * (count // 3) + ["train"] * (count % 3),
            "group": None,
            "weight": 1.0,
        }
    )


def make_params(size_px=8, how="pad", shard_rows=5):
    return TransformParams(
        size_px=size_px,
        resize=how,
        interpolation="bicubic",
        background=(4, 5, 6),
        white16=65535,
        shard_rows=shard_rows,
    )


def machine(workers):
    return MachineParams.alone(workers=workers, progress="none")


def contents(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    count=st.integers(1, 11),
    size_px=st.integers(8, 20),
    how=st.sampled_from(["squash", "crop", "pad"]),
    shard_rows=st.integers(1, 12),
    seed=st.integers(0, 3),
)
def test_round_trip(count, size_px, how, shard_rows, seed):
    with tempfile.TemporaryDirectory() as name:
        raw, folder = Path(name) / "raw", Path(name) / "store"
        rows = make_raw(raw, count, seed)
        params = make_params(size_px, how, shard_rows)
        write_store(folder, rows, encoding(params), raw=raw, machine=machine(1))
        store = Store.open(folder)
        order = np.random.default_rng(seed).permutation(count)
        expected = [decode((raw / rows["path"][row]).read_bytes(), params.spec()) for row in order]
        assert np.array_equal(store.read(order), np.stack(expected))
        assert max(each["rows"] for each in store.values.files) <= 4 * shard_rows


@pytest.fixture
def stores(tmp_path):
    raw = tmp_path / "raw"
    rows = make_raw(raw, 24)

    def write(name, workers=1, params=None, order=None):
        params = params or make_params()
        chosen = rows if order is None else rows.iloc[order].reset_index(drop=True)
        write_store(tmp_path / name, chosen, encoding(params), raw=raw, machine=machine(workers))
        return contents(tmp_path / name)

    return write


def test_same_input_same_bytes(stores):
    assert stores("one") == stores("two")


def test_the_number_of_workers_changes_no_byte(stores):
    alone = stores("one", workers=1)
    assert alone == stores("two", workers=2)
    assert alone == stores("three", workers=3)


def test_shard_length_moves_no_row(stores, tmp_path):
    stores("short", params=make_params(shard_rows=1))
    stores("long", params=make_params(shard_rows=1000))
    rows = np.arange(24)
    assert np.array_equal(
        Store.open(tmp_path / "short").read(rows), Store.open(tmp_path / "long").read(rows)
    )


def test_the_order_of_rows_is_the_order_of_pictures(stores, tmp_path):
    order = np.random.default_rng(1).permutation(24)
    stores("plain")
    stores("shuffled", order=order)
    assert np.array_equal(
        Store.open(tmp_path / "shuffled").read(np.arange(24)),
        Store.open(tmp_path / "plain").read(order),
    )


def test_a_picture_may_come_in_another_container(tmp_path):
    """What is stored depends on pixels, not on how they were packed."""
    image = Image.fromarray(np.random.default_rng(2).integers(0, 256, (20, 30), dtype=np.uint8))
    tensors = []
    for kind in ("PNG", "BMP", "TIFF"):
        stream = io.BytesIO()
        image.save(stream, kind)
        tensors.append(decode(stream.getvalue(), make_params().spec()))
    assert np.array_equal(tensors[0], tensors[1])
    assert np.array_equal(tensors[0], tensors[2])
