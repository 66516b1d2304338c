"""A damaged, foreign or half-written store is never read: the error names the file."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from pipeline.compute.engine import MachineParams
from pipeline.ground.errors import DataError, IntegrityError
from pipeline.ground.files import sha256_file, write_json
from pipeline.ground.tables import write_table
from pipeline.picture.shelf.params import TransformParams
from pipeline.store.store import Store
from pipeline.store.writer import write_store
from tests.support.encoding import encoding

ROOT = Path(__file__).parents[2]
PARAMS = TransformParams(
    size_px=8,
    resize="squash",
    interpolation="bilinear",
    background=(0, 0, 0),
    white16=65535,
    shard_rows=4,
)


def make_rows(raw, count):
    raw.mkdir()
    rng = np.random.default_rng(11)
    for number in range(count):
        pixels = rng.integers(0, 256, (20, 20), dtype=np.uint8)
        Image.fromarray(pixels).save(raw / f"{number:04d}.png")
    files = sorted(raw.iterdir())
    return pd.DataFrame(
        {
            "path": [file.name for file in files],
            "id": [sha256_file(file) for file in files],
            "label": "a",
            "split": "train",
            "group": None,
            "weight": 1.0,
        }
    )


@pytest.fixture
def folder(tmp_path):
    rows = make_rows(tmp_path / "raw", 10)
    machine = MachineParams.alone(workers=1, progress="none")
    write_store(tmp_path / "store", rows, encoding(PARAMS), raw=tmp_path / "raw", machine=machine)
    return tmp_path / "store"


def read_all(store):
    return store.read(np.arange(len(store)))


def lengthen(path, size):
    os.truncate(path, path.stat().st_size + size)


def edit(folder, **changes):
    record = json.loads((folder / "store.json").read_text())
    write_json(folder / "store.json", record | changes)


def no_spec(folder):
    record = json.loads((folder / "store.json").read_text())
    del record["spec"]
    write_json(folder / "store.json", record)


def drop_row(folder):
    write_table(folder / "index.parquet", pd.read_parquet(folder / "index.parquet").iloc[:-1])


def drop_column(folder):
    table = pd.read_parquet(folder / "index.parquet")
    write_table(folder / "index.parquet", table.drop(columns="split"))


def resave(path, array):
    np.save(path, array)


DAMAGE = {
    "short shard": (lambda f: lengthen(f / "shard-00001.npy", -1), "shard-00001.npy"),
    "empty shard": (lambda f: (f / "shard-00001.npy").write_bytes(b""), "shard-00001.npy"),
    "longer shard": (lambda f: lengthen(f / "shard-00001.npy", +1), "shard-00001.npy"),
    "missing shard": (lambda f: (f / "shard-00002.npy").unlink(), "shard-00002.npy"),
    "other type": (
        lambda f: resave(f / "shard-00000.npy", np.zeros((4, 3, 8, 8), np.float32)),
        "shard-00000.npy",
    ),
    "other size": (
        lambda f: resave(f / "shard-00000.npy", np.zeros((4, 3, 9, 8), np.uint8)),
        "shard-00000.npy",
    ),
    "pickled objects": (
        lambda f: resave(f / "shard-00000.npy", np.array([{}], dtype=object)),
        "shard-00000.npy",
    ),
    "foreign shard": (
        lambda f: (f / "shard-00000.npy").write_bytes((f / "shard-00001.npy").read_bytes()),
        "shard-00000.npy",
    ),
    "a shard too few": (
        lambda f: edit(f, shards=json.loads((f / "store.json").read_text())["shards"][:-1]),
        "store.json",
    ),
    "missing index": (lambda f: (f / "index.parquet").unlink(), "index.parquet"),
    "garbled index": (lambda f: (f / "index.parquet").write_bytes(b"x" * 99), "index.parquet"),
    "cut index": (lambda f: lengthen(f / "index.parquet", -20), "index.parquet"),
    "short index": (drop_row, "index.parquet"),
    "index without a column": (drop_column, "index.parquet"),
    "foreign version": (lambda f: edit(f, version=1), "store.json"),
    "foreign format": (lambda f: edit(f, format="mds"), "store.json"),
    "garbled record": (lambda f: lengthen(f / "store.json", -5), "store.json"),
    "a list as record": (lambda f: (f / "store.json").write_text("[]"), "store.json"),
    "no spec": (no_spec, "store.json"),
    "foreign spec": (lambda f: edit(f, spec={"size_px": 8}), "store.json"),
}


@pytest.mark.parametrize(("damage", "named"), DAMAGE.values(), ids=DAMAGE)
def test_damage_is_found_before_a_row_is_given_and_named(folder, damage, named):
    damage(folder)
    with pytest.raises(IntegrityError, match=named) as caught:
        read_all(Store.open(folder))
    assert "run `dvc" in str(caught.value)


@pytest.mark.parametrize("name", ["shard-00001.npy", "index.parquet"])
def test_a_flipped_bit_is_found(folder, name):
    assert len(read_all(Store.open(folder))) == 10
    content = bytearray((folder / name).read_bytes())
    content[-100 if name.endswith("npy") else 10] ^= 1
    (folder / name).write_bytes(content)
    with pytest.raises(IntegrityError, match=f"{name}: its values were changed"):
        read_all(Store.open(folder))


WRITER = """
import sys
from pathlib import Path
import pandas as pd
from pipeline.picture.shelf.params import TransformParams
from pipeline.store.writer import write_store
from pipeline.store.encoded_shard import Encoding
from pipeline.compute.engine import MachineParams

folder = Path(sys.argv[1])
rows = pd.read_parquet(folder / "rows.parquet")
params = TransformParams(size_px=64, resize="squash", interpolation="bilinear",
                         background=(0, 0, 0), white16=65535, shard_rows=16)
if __name__ == "__main__":
    print("go", flush=True)
    write_store(folder / "store", rows, Encoding("picture", params.spec(), 16),
                raw=folder / "raw",
                machine=MachineParams.alone(workers=int(sys.argv[2]), progress="none"))
    print("done", flush=True)
"""


def start_writer(folder, workers):
    script = folder / "writer.py"
    script.write_text(WRITER)
    return subprocess.Popen(
        [sys.executable, script, folder, str(workers)],
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        text=True,
    )


def wait_for_shard(folder, number):
    for _ in range(3000):
        if list(folder.glob(f".tmp-store-*/shard-{number:05d}.npy")):
            return
        time.sleep(0.005)
    raise AssertionError("the writer wrote nothing")


@pytest.mark.parametrize(
    ("workers", "has_older"), [(1, False), (1, True), (2, False)], ids=["first", "again", "workers"]
)
def test_sigkill_while_writing_leaves_no_readable_half(tmp_path, workers, has_older):
    rows = make_rows(tmp_path / "raw", 40)
    many = pd.concat([rows] * 100, ignore_index=True)
    machine = MachineParams.alone(workers=1, progress="none")
    if has_older:
        write_store(
            tmp_path / "store", rows, encoding(PARAMS), raw=tmp_path / "raw", machine=machine
        )
    write_table(tmp_path / "rows.parquet", many)
    writer = start_writer(tmp_path, workers)
    wait_for_shard(tmp_path, 5)
    writer.send_signal(signal.SIGKILL)
    assert writer.wait() == -signal.SIGKILL
    assert "done" not in writer.stdout.read()
    writer.stdout.close()

    if has_older:
        assert len(Store.open(tmp_path / "store")) == 40, "the older store must be whole"
    else:
        with pytest.raises(DataError, match="no such file"):
            Store.open(tmp_path / "store")

    write_store(tmp_path / "store", rows, encoding(PARAMS), raw=tmp_path / "raw", machine=machine)
    assert len(read_all(Store.open(tmp_path / "store"))) == 40
    assert not list(tmp_path.glob(".tmp-*")), "the next writer clears what the dead one left"
