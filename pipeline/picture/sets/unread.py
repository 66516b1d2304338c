"""Raw folders whose pictures lie in files that are not read: what they are, and the way on.

Nothing of such a file is decoded; a pickle, which can run any code, is never opened as one.
"""

import math
import re
from pathlib import Path

from pipeline.ground.errors import DataError
from pipeline.modality.types.protocols import RawFolder
from pipeline.picture.files import picture_format
from pipeline.picture.sets.heads import read_ends

_PICKLE = "never opened here, since a pickle can run any code: load it where you trust it"
_SIGNATURES: tuple[tuple[str, str, str], ...] = (
    (
        r"(?:train|t10k|test|.*-train|.*-test)[-_.](?:images|labels)[-_.]idx\d[-_.]ubyte(?:\.gz)?",
        "arrays in MNIST's idx format",
        "torchvision.datasets.MNIST reads them",
    ),
    (
        r"(?:data_batch_\d|test_batch|batches\.meta|cifar.*\.(?:pkl|pickle))",
        "pickles of CIFAR",
        _PICKLE,
    ),
    (
        r"(?:data_batch_\d|test_batch|train|test)\.bin",
        "raw arrays, as of CIFAR's binary version",
        "np.fromfile reads them",
    ),
    (r".*\.(?:pkl|pickle|p|joblib)", "pickles", _PICKLE),
    (r".*\.(?:pt|pth)", "tensors of PyTorch", "torch.load(..., weights_only=True) reads them"),
    (r".*\.np[yz]", "NumPy arrays", "np.load reads them"),
    (r".*\.mat", "MATLAB files", "scipy.io.loadmat, or h5py from version 7.3 on, reads them"),
    (r".*\.(?:h5|hdf5?|he5|nc)", "HDF5 files", "h5py reads them"),
    (r".*\.tfrecords?(?:-\d+-of-\d+)?(?:\.gz)?", "TFRecord files", "tf.data reads them"),
    (r"(?:data|lock)\.mdb|.*\.lmdb", "an LMDB database", "the package lmdb reads it"),
    (r".*\.rec", "MXNet's RecordIO files", "mxnet's im2rec unpacks them"),
    (
        r".*\.(?:arrow|feather)",
        "Arrow files, as `save_to_disk` of the library `datasets` writes",
        "load_from_disk(...).to_parquet(...) turns them into Parquet, which is read in place",
    ),
    (r".*\.beton", "FFCV files", "write the set again from its source"),
    (r".*\.(?:sqlite3?|db)", "a database", "read it with its own library"),
    (
        r".*\.(?:avro|orc|msgpack|tsv|jsonl|ndjson)",
        "records",
        "if they hold encoded pictures, write them into a Parquet file with the columns image and "
        "label",
    ),
    (
        r".*\.parquet",
        "Parquet files without a column of encoded pictures",
        "encode each picture as PNG into a binary column `image`",
    ),
)
"""Names in lower case, what such files hold, and how to go on."""

_COMPILED = tuple((re.compile(name), what, how) for name, what, how in _SIGNATURES)
_PICKLED = re.compile(rb"\x80[\x02-\x05]")
_NUMBERED = re.compile(r"(?:pixels?|px|p|x|v|col|f|feature|attr)?[ _.]*\d+(?:x\d+)?", re.IGNORECASE)
_FEWEST_CELLS, _OTHER_CELLS = 64, 8
_LOOKED_AT = 16


def refuse_unread(raw: Path, folder: RawFolder, label_file: Path | None) -> None:
    """Refuse a folder without pictures whose files may hold some in a way that is not read.

    Args:
        raw: The data folder.
        folder: What is in it: no file that is named as a picture, and no table of pictures.
        label_file: Of the user, if there is one.

    Raises:
        DataError: It says what the files are, and what to do.
    """
    plain = [path for path in folder.files if "." not in _name(path)][:_LOOKED_AT]
    heads = {path: read_ends(raw, folder, path) for path in plain}
    if any(map(picture_format, heads.values())):
        return
    for path in folder.files:
        for name, what, how in _COMPILED:
            if name.fullmatch(_name(path)):
                raise _unread(raw, path, what, how)
    for path, head in heads.items():
        if _PICKLED.match(head):
            raise _unread(raw, path, "pickles, as of CIFAR-100", _PICKLE)
    _refuse_pixels(raw, folder, label_file)


def _name(path: str) -> str:
    return path.rpartition("/")[2].lower()


def _unread(raw: Path, path: str, what: str, how: str) -> DataError:
    return DataError(
        raw,
        f"has no picture files, but {what}, which are not read ({path!r})",
        remedy=f"{how}; then write each picture as a PNG file into a folder named by its class, or "
        "into a tar or Parquet file: docs/containers.md",
    )


def _refuse_pixels(raw: Path, folder: RawFolder, label_file: Path | None) -> None:
    """Refuse tables of which each row holds the pixels of a picture as numbers."""
    tables = [path for path in folder.files if _name(path).endswith((".csv", ".csv.gz"))]
    if label_file is not None and label_file.suffix.lower() == ".csv":
        heads = [(label_file.name, read_ends(label_file.parent, folder, label_file.name))]
    else:
        heads = []
    heads += [(path, read_ends(raw, folder, path)) for path in tables[:_LOOKED_AT]]
    for path, head in heads:
        count = _pixels(head.decode("utf-8-sig", "replace"))
        if count:
            side = math.isqrt(count)
            shape = f"({side}, {side})" if side * side == count else "(height, width)"
            raise _unread(
                raw,
                path,
                f"a table of {count} pixels in each row",
                f"read it with pandas, and turn a row into a picture by "
                f"Image.fromarray(pixels.reshape{shape}.astype('uint8'))",
            )


def _pixels(text: str) -> int:
    """Return the number of pixels in each row of a table; 0 where it holds none."""
    lines = text.splitlines()[:2]
    cells = [each.strip(" \"'") for each in lines[0].split(",")] if lines else []
    numbered = sum(1 for each in cells if _NUMBERED.fullmatch(each))
    if len(cells) >= _FEWEST_CELLS and numbered >= len(cells) - _OTHER_CELLS:
        return numbered - all(map(str.isdigit, cells))  # without a header, one is the label
    names = [each.lower() for each in cells]
    if len(lines) > 1 and {"pixels", "pixel", "image_pixels"} & set(names):
        return max(len(each.split()) for each in lines[1].split(","))
    return 0
