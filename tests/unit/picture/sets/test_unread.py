"""Folders whose pictures lie in files that are not read are named as such; no pickle is opened."""

import gzip
import pickle

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.ground.errors import DataError
from pipeline.raw.items import find_items
from tests.support.packed import packed


class Trap:
    def __reduce__(self):
        return exec, ("raise SystemExit('unpickled')",)


def digits(side, header, first="5"):
    count = side * side
    rows = [",".join([first, *(str(n % 256) for n in range(count))]) for _ in range(3)]
    head = {
        "pixel": [f"pixel{n}" for n in range(count)],
        "grid": [f"{n // side + 1}x{n % side + 1}" for n in range(count)],
    }
    lines = [",".join(["label", *head[header]])] if header else []
    return "\n".join([*lines, *rows]).encode()


PICKLE = pickle.dumps(Trap(), 2)
FACES = b"emotion,pixels,Usage\n" + b"0," + b" ".join([b"70"] * 2304) + b",Training\n"
CONTAINERS = {
    "idx": ({"train-images-idx3-ubyte.gz": gzip.compress(b"\0\0\x08\x03")}, "MNIST's idx format"),
    "idx, unpacked": ({"raw/t10k-labels.idx1-ubyte": b"\0\0\x08\x01"}, "MNIST's idx format"),
    "EMNIST": ({"emnist-letters-train-images-idx3-ubyte.gz": b"x"}, "MNIST's idx format"),
    "CIFAR-10": ({"cifar-10-batches-py/data_batch_1": PICKLE, "readme.html": b"x"}, "of CIFAR"),
    "CIFAR-100": ({"train": PICKLE, "test": PICKLE, "meta": PICKLE}, "pickles, as of CIFAR-100"),
    "CIFAR, binary": ({"data_batch_1.bin": b"\6" * 3073}, "CIFAR's binary version"),
    "pickle": ({"faces.pkl": PICKLE}, "pickles, which are not read ('faces.pkl') (never opened"),
    "npz": ({"pneumoniamnist.npz": b"PK\3\4"}, "NumPy arrays"),
    "npy": ({"x_train.npy": b"\x93NUMPY", "labels.csv": b"path,label\n1,cat\n"}, "NumPy arrays"),
    "mat": ({"train_32x32.mat": b"MATLAB 5.0"}, "MATLAB files"),
    "h5": ({"signs.h5": b"\x89HDF\r\n\x1a\n"}, "HDF5 files"),
    "tfrecord": ({"train.tfrecord": b"x"}, "TFRecord files"),
    "tfrecord, in parts": ({"m-train.tfrecord-00000-of-00001": b"x"}, "TFRecord files"),
    "lmdb": ({"train/data.mdb": b"x", "train/lock.mdb": b"x"}, "an LMDB database"),
    "rec": ({"train.rec": b"x", "train.idx": b"x"}, "MXNet's RecordIO files"),
    "arrow": (
        {"train/data-00000-of-00001.arrow": b"x", "dataset_dict.json": b"{}"},
        "load_from_disk(...).to_parquet(...)",
    ),
    "tensors": ({"train.pt": b"PK\3\4"}, "tensors of PyTorch"),
    "FFCV": ({"train.beton": b"x"}, "FFCV files"),
    "base64 lines": ({"train.jsonl": b'{"image": "/9j/4AAQ"}'}, "records"),
    "in a zip": ({"a.zip": packed([("x.npz", b"PK\3\4")])}, "NumPy arrays"),
    "pixels": ({"train.csv": digits(28, "pixel")}, "a table of 784 pixels in each row"),
    "pixels by place": ({"mnist_train.csv": digits(28, "grid")}, "a table of 784 pixels"),
    "pixels, no header": ({"A_Z.csv": digits(28, None)}, "pixels.reshape(28, 28)"),
    "pixels of faces": ({"fer2013/fer2013.csv": FACES}, "pixels.reshape(48, 48)"),
    "pixels, zipped": ({"a.zip": packed([("t.csv", digits(8, "pixel"))])}, "a table of 64 pixels"),
    "pixels as labels": ({"labels.csv": digits(28, "pixel"), "x.md": b"x"}, "a table of 784"),
}


@pytest.mark.parametrize("name", CONTAINERS)
def test_a_container_that_is_not_read_is_named(tmp_path, name):
    files, what = CONTAINERS[name]
    for path, content in files.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(content)
    with pytest.raises(DataError) as caught:
        find_items(tmp_path, tmp_path, target="label")
    text = str(caught.value)
    assert what in text
    assert text.startswith(f"{tmp_path}: has no picture files, but ")
    assert "docs/containers.md" in text
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat/1.jpg").write_bytes(b"x")  # beside pictures, it is one bad file
    if "labels.csv" not in files:
        find_items(tmp_path, tmp_path, target="label")


def test_a_table_without_encoded_pictures_is_named(tmp_path):
    pixels = [list(range(9))] * 4
    pq.write_table(pa.table({"image": pixels, "label": [0, 1, 0, 1]}), tmp_path / "train.parquet")
    with pytest.raises(DataError, match="Parquet files without a column of encoded pictures"):
        find_items(tmp_path, tmp_path, target="label")


def test_pictures_without_a_suffix_are_pictures(tmp_path):
    for name in ("cat/1", "dog/2"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_bytes(b"\xff\xd8\xff\xe0")
    np.save(tmp_path / "features.npy", np.zeros(3))
    assert find_items(tmp_path, tmp_path, target="label").layout == "class folders"


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("a.rar", "a RAR archive"),
        ("A.7Z", "a 7z archive"),
        ("a.zip.001", "a part of a zip archive"),
        ("a.z01", "a part of a zip archive"),
        ("a.tar.gz.part00", "a part of a tar archive"),
        ("a.tar.lz4", "compressed as a whole"),
        ("a.tar.zst", "compressed as a whole"),
    ],
)
def test_archives_that_are_not_read_stop_the_look(tmp_path, name, what):
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat/1.jpg").write_bytes(b"x")
    (tmp_path / "cat" / name).write_bytes(b"x")
    with pytest.raises(DataError, match=f"{name}: must not be {what}.*unpack it"):
        find_items(tmp_path, tmp_path, target="label")
