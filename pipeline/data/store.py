"""The tensor store: every kept picture as uint8, in memory-mapped shards.

A store is a folder: `shard-00000.npy`, ... of [rows, 3, H, W], `index.parquet` with one row for
each picture, in the order of the manifest, and `store.json`, written last. A folder without
`store.json` is no store.

Axes: B = pictures of one read, H = W = `size_px`.
"""

import hashlib
import logging
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import Field

from pipeline.data.decode import DecodeSpec, UndecodableImage, decode
from pipeline.data.picture import Interpolation, Pixels, ResizeMode
from pipeline.errors import DataError, IntegrityError, MachineError
from pipeline.files import (
    read_json,
    read_table,
    replacing_folder,
    sha256_file,
    write_json,
    write_table,
)
from pipeline.parallel import MachineParams, map_in_order
from pipeline.params import Section

log = logging.getLogger(__name__)

VERSION = 1
FORMAT = "rootstock-store"
COLUMNS = ("path", "id", "label", "split", "group", "weight")
"""Of the index, taken from the manifest; after them its `meta.<name>` columns."""

_REMEDY = "run `dvc checkout` or `dvc repro transform`"
_DISK_FACTOR = 2
"""DVC keeps a second copy of an output in its cache."""

Byte = Annotated[int, Field(ge=0, le=255)]


class TransformParams(Section):
    """`transform`: how raw pictures become tensors of one size."""

    size_px: int = Field(ge=8, le=4096)
    """Side of the square tensors, pixels."""

    resize: ResizeMode
    """`squash` both sides, `crop` the center square, or `pad` to a square."""

    interpolation: Interpolation
    """Always with antialiasing when a picture shrinks."""

    background: Annotated[tuple[Byte, Byte, Byte], Field(strict=False)]
    """Color under transparency and in padding: red, green, blue."""

    shard_rows: int = Field(ge=1, le=1_000_000)
    """Pictures in one shard file."""

    def decode_spec(self) -> DecodeSpec:
        """Give the part that prediction needs too."""
        return DecodeSpec(self.size_px, self.resize, self.interpolation, self.background)


@dataclass(frozen=True)
class _Refusal:
    """Why a raw file could not be taken; a value, since errors do not cross processes well."""

    kind: str
    detail: str


def write_store(
    folder: Path,
    rows: pd.DataFrame,
    *,
    raw: Path,
    params: TransformParams,
    machine: MachineParams,
) -> None:
    """Decode every row's raw file on all cores, and write the store whole or not at all.

    The bytes depend on rows, files and params alone, not on the number of workers; memory does not
    grow with the number of rows.

    Args:
        folder: The store; an older one is replaced.
        rows: Kept rows of the manifest, in its order.
        raw: The folder that `path` is relative to.
        params: Size, resizing and rows of a shard.
        machine: Workers and progress.

    Raises:
        DataError: There are no rows.
        IntegrityError: A raw file is not the one that `clean` saw.
        MachineError: The disk lacks room for the store and DVC's copy of it.
    """
    if rows.empty:
        raise DataError(
            raw, "there is no picture to keep", remedy="see artifacts/clean/report.json"
        )
    _check_disk(folder, len(rows) * _row_bytes(params.size_px))
    work = partial(_decode_file, raw, params.decode_spec())
    items = list(zip(rows["path"], rows["id"], strict=True))
    results = map_in_order(work, items, machine, title="transform")
    pictures = (
        _unwrap(result, raw / path) for result, (path, _) in zip(results, items, strict=True)
    )
    with replacing_folder(folder) as scratch:
        shards = _write_shards(scratch, pictures, len(rows), params)
        index = scratch / "index.parquet"
        meta = [name for name in rows.columns if name.startswith("meta.")]
        write_table(index, rows[[*COLUMNS, *meta]].reset_index(drop=True))
        record = {
            "format": FORMAT,
            "version": VERSION,
            "rows": len(rows),
            "spec": params.decode_spec().to_dict(),
            "index": {"file": index.name, "sha256": sha256_file(index)},
            "shards": shards,
        }
        write_json(scratch / "store.json", record)
    log.info("transform: %d pictures in %d shards", len(rows), len(shards))


def _row_bytes(size_px: int) -> int:
    return 3 * size_px * size_px


def _check_disk(folder: Path, size_bytes: int) -> None:
    place = next(parent for parent in folder.absolute().parents if parent.exists())
    free = shutil.disk_usage(place).free
    if free < _DISK_FACTOR * size_bytes:
        raise MachineError(
            folder,
            f"needs {_DISK_FACTOR * size_bytes} bytes of free disk, with DVC's copy",
            got=free,
            remedy="free some space, or lower transform.size_px",
        )


def _decode_file(raw: Path, spec: DecodeSpec, item: tuple[str, str]) -> Pixels | _Refusal:
    path, sha256 = item
    try:
        # Without O_NONBLOCK the open of a FIFO, put there since `clean`, would wait for ever.
        descriptor = os.open(raw / path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as stream:
            content = stream.read()
    except OSError as error:
        return _Refusal("unreadable", os.strerror(error.errno or 0))
    if hashlib.sha256(content).hexdigest() != sha256:
        return _Refusal("changed", "")
    try:
        return decode(content, spec)
    except UndecodableImage as error:
        return _Refusal("undecodable", str(error))


def _unwrap(result: Pixels | _Refusal, path: Path) -> Pixels:
    if not isinstance(result, _Refusal):
        return result
    if result.kind == "changed":
        raise IntegrityError(path, "has changed since `clean` saw it", remedy="run `dvc repro`")
    if result.kind == "unreadable":
        raise IntegrityError(
            path, f"`clean` saw it, now: {result.detail}", remedy="restore it, or run `dvc repro`"
        )
    raise DataError(path, f"cannot be decoded: {result.detail}", remedy="lower clean.max_pixels")


def _write_shards(
    folder: Path, pictures: Iterator[Pixels], rows: int, params: TransformParams
) -> list[dict[str, Any]]:
    """Stream pictures into shards; the sums are taken on the way, so nothing is read back."""
    shards: list[dict[str, Any]] = []
    for start in range(0, rows, params.shard_rows):
        count = min(params.shard_rows, rows - start)
        path = folder / f"shard-{len(shards):05d}.npy"
        digest = _write_shard(path, islice(pictures, count), count, params.size_px)
        shards.append({"file": path.name, "rows": count, "sha256": digest})
    return shards


def _write_shard(path: Path, pictures: Iterator[Pixels], count: int, size_px: int) -> str:
    digest = hashlib.sha256()
    header = {"descr": "|u1", "fortran_order": False, "shape": (count, 3, size_px, size_px)}
    with path.open("w+b") as stream:
        np.lib.format.write_array_header_1_0(stream, header)
        stream.seek(0)
        digest.update(stream.read())
        for picture in pictures:
            digest.update(picture.data)
            stream.write(picture.data)
    return digest.hexdigest()


@dataclass(frozen=True)
class Store:
    """A store that was opened: the index in memory, the pixels on disk.

    Attributes:
        folder: Where it lies.
        spec: How its pictures were made.
        index: One row for each picture: `COLUMNS` and `meta.<name>`; its index is the row number.
        shards: uint8 memory maps of [rows, 3, H, W].
    """

    folder: Path
    spec: DecodeSpec
    index: pd.DataFrame
    shards: tuple[npt.NDArray[np.uint8], ...]

    @classmethod
    def open(cls, folder: Path) -> "Store":
        """Open a store; sizes and shapes are checked here, sums only by `verify`.

        Raises:
            DataError: There is no store.
            IntegrityError: A file of it is missing, cut off or of another version.
        """
        where = folder / "store.json"
        record = _read_record(where)
        try:
            spec = DecodeSpec.from_dict(record["spec"])
            rows = int(record["rows"])
            named = [(str(each["file"]), int(each["rows"])) for each in record["shards"]]
        except (KeyError, TypeError, ValueError) as error:
            raise IntegrityError(where, f"lacks or garbles {error}", remedy=_REMEDY) from error
        index = _read_index(folder / "index.parquet", rows)
        shards = tuple(_map_shard(folder / name, count, spec.size_px) for name, count in named)
        if sum(map(len, shards)) != rows:
            raise IntegrityError(where, f"its shards must hold {rows} rows", remedy=_REMEDY)
        return cls(folder, spec, index, shards)

    def __len__(self) -> int:
        return len(self.index)

    @property
    def size_px(self) -> int:
        """Side of the square pictures, pixels."""
        return self.spec.size_px

    def rows(self, split: str) -> npt.NDArray[np.int64]:
        """Give the row numbers of a split, ascending; none for a split that has no pictures."""
        return np.flatnonzero(self.index["split"].to_numpy() == split).astype(np.int64)

    def read(self, rows: npt.NDArray[np.int64]) -> Pixels:
        """Copy pictures into memory, in the order asked for.

        Returns:
            uint8, [B, 3, H, W].

        Raises:
            IndexError: A row number is negative or too large.
        """
        wanted = np.asarray(rows, dtype=np.int64)
        if wanted.size and (wanted.min() < 0 or wanted.max() >= len(self)):
            raise IndexError(f"rows must lie in 0..{len(self) - 1}")
        ends = np.cumsum([len(shard) for shard in self.shards])
        numbers = np.searchsorted(ends, wanted, side="right")
        out = np.empty((len(wanted), 3, self.size_px, self.size_px), dtype=np.uint8)
        for place, (number, row) in enumerate(zip(numbers, wanted, strict=True)):
            out[place] = self.shards[number][row - ends[number]]
        return out

    def verify(self) -> None:
        """Compare the sums of all files with those in `store.json`.

        Raises:
            IntegrityError: A file differs.
        """
        record = _read_record(self.folder / "store.json")
        for each in (record["index"], *record["shards"]):
            path = self.folder / each["file"]
            if sha256_file(path) != each["sha256"]:
                raise IntegrityError(path, "its bytes are not those recorded", remedy=_REMEDY)


def _read_record(where: Path) -> dict[str, Any]:
    record = read_json(where)
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        raise IntegrityError(where, "is not the record of a store", remedy=_REMEDY)
    if record.get("version") != VERSION:
        raise IntegrityError(
            where,
            f"must be {VERSION}",
            field="version",
            got=record.get("version"),
            remedy="run `dvc repro transform`",
        )
    return record


def _read_index(path: Path, rows: int) -> pd.DataFrame:
    if not path.is_file():
        raise IntegrityError(path, "is missing from the store", remedy=_REMEDY)
    index = read_table(path)
    missing = [name for name in COLUMNS if name not in index.columns]
    if missing:
        raise IntegrityError(path, "lacks a column", field=missing[0], remedy=_REMEDY)
    if len(index) != rows:
        raise IntegrityError(path, f"must have {rows} rows", got=len(index), remedy=_REMEDY)
    return index


def _map_shard(path: Path, rows: int, size_px: int) -> npt.NDArray[np.uint8]:
    try:
        shard: npt.NDArray[np.uint8] = np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError as error:
        raise IntegrityError(path, "is missing from the store", remedy=_REMEDY) from error
    except (OSError, ValueError, EOFError) as error:
        raise IntegrityError(path, "is cut off or no array", remedy=_REMEDY) from error
    shape = (rows, 3, size_px, size_px)
    if shard.shape != shape or shard.dtype != np.uint8:
        raise IntegrityError(
            path, f"must hold uint8 of shape {shape}", got=(str(shard.dtype), shard.shape),
            remedy=_REMEDY,
        )  # fmt: skip
    if path.stat().st_size != shard.nbytes + int(getattr(shard, "offset", 0)):
        raise IntegrityError(path, "has bytes after its last row", remedy=_REMEDY)
    return shard
