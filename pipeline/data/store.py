"""The tensor store: every kept picture as uint8, in shards.

A store is a folder: `shard-00000.npy`, ... of [rows, 3, H, W], `index.parquet` with one row for
each picture, in the order of the manifest, and `store.json`, written last. A folder without
`store.json` is no store. Pictures that an earlier store holds are copied, not decoded again.

Axes: B = pictures of one read, H = W = `size_px`.
"""

import hashlib
import logging
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import Field

from pipeline.data import decode as decode_module
from pipeline.data import picture, sniff
from pipeline.data.decode import MAX_PIXELS, DecodeSpec, UndecodableImage, decode
from pipeline.data.picture import Interpolation, Pixels, ResizeMode
from pipeline.data.rawfiles import RawFault, most_bytes, read_raw
from pipeline.data.shard_writer import Reusable, pieces, take_shard, write_shard
from pipeline.data.shards import Layout, Rows, Shards, StoredRow, shard_sizes
from pipeline.earlier import code_digest
from pipeline.errors import DataError, IntegrityError, MachineError, PipelineError
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

VERSION = 2
FORMAT = "rootstock-store"
COLUMNS = ("path", "id", "label", "split", "group", "weight")
"""Of the index, taken from the manifest; after them its `meta.<name>` columns and `DIGEST`."""

DIGEST = "digest"
"""Of the index: SHA-256 of the picture's bytes in the store, in hex."""

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
    """Mean number of pictures in one shard file."""

    def decode_spec(self) -> DecodeSpec:
        """Give the part that prediction needs too."""
        return DecodeSpec(self.size_px, self.resize, self.interpolation, self.background)


@dataclass(frozen=True)
class _Refusal:
    """Why a raw file could not be taken; a value, since errors do not cross processes well."""

    path: str
    kind: str
    detail: str


def made_from(params: TransformParams) -> dict[str, Any]:
    """Give what the picture of a raw file in the store depends on, besides the file: JSON."""
    return {
        "spec": params.decode_spec().to_dict(),
        "code": code_digest(decode_module, picture, sniff, versions=decode_module.VERSIONS),
    }


def write_store(
    folder: Path,
    rows: pd.DataFrame,
    *,
    raw: Path,
    params: TransformParams,
    machine: MachineParams,
    old: Path | None = None,
) -> None:
    """Decode every row's raw file on all cores, and write the store whole or not at all.

    The bytes depend on rows, files and params alone, not on the number of workers, nor on what is
    taken from an older store; memory does not grow with the number of rows.

    Args:
        folder: The store; an older one is replaced.
        rows: Kept rows of the manifest, in its order.
        raw: The folder that `path` is relative to.
        params: Size, resizing and rows of a shard.
        machine: Workers and progress.
        old: A store elsewhere that was made from the same (`made_from`), or None.

    Raises:
        DataError: There are no rows.
        IntegrityError: A raw file is not the one that `clean` saw.
        MachineError: The disk lacks room for the store and DVC's copy of it.
    """
    if rows.empty:
        raise DataError(
            raw, "there is no picture to keep", remedy="see artifacts/clean/report.json"
        )
    _check_disk(folder, len(rows) * row_bytes(params.size_px))
    paths, ids = list(rows["path"]), list(rows["id"])
    reused, digests = _open_old(old, ids, params.size_px)
    sizes = shard_sizes(paths, params.shard_rows)
    parts = list(zip(pieces(paths, sizes), pieces(ids, sizes), strict=True))
    same = [reused.whole_shard(part) for _, part in parts]
    jobs = [
        _Shard(number, tuple((path, id_, reused.stored(id_)[0] if id_ in reused else None)
                             for path, id_ in zip(*part, strict=True)))
        for number, part in enumerate(parts) if same[number] is None
    ]  # fmt: skip
    shards: list[dict[str, Any]] = []
    with replacing_folder(folder) as scratch:
        work = partial(_make_shard, scratch, raw, params.decode_spec())
        made = map_in_order(work, jobs, machine, title="transform")
        layouts = [layout(params.size_px)]
        for number, ((_, part), old_number) in enumerate(zip(parts, same, strict=True)):
            if old_number is None:
                sha256, found = _unwrap(next(made), raw)
                digests |= found
            else:
                (sha256,) = take_shard(scratch, layouts, number, reused, old_number)
            file = layouts[0].file(number)
            shards.append({"file": file, "rows": len(part), "sha256": sha256})
        for _ in made:  # its progress bar ends there
            raise RuntimeError("more shards were made than were asked for")
        index = scratch / "index.parquet"
        meta = [name for name in rows.columns if name.startswith("meta.")]
        table = rows[[*COLUMNS, *meta]].reset_index(drop=True)
        write_table(index, table.assign(**{DIGEST: [digests[id_] for id_ in ids]}))
        record = {
            "format": FORMAT,
            "version": VERSION,
            "rows": len(rows),
            "spec": params.decode_spec().to_dict(),
            "index": {"file": index.name, "sha256": sha256_file(index)},
            "shards": shards,
        }
        write_json(scratch / "store.json", record)
    kept = sum(id_ in reused for id_ in ids)
    log.info("transform: %d pictures in %d shards%s", len(rows), len(shards),
             f", {kept} of them from the last build" if kept else "")  # fmt: skip


@dataclass(frozen=True)
class _Shard:
    """What one worker makes: a shard's number; path, id and old place of each row."""

    number: int
    rows: tuple[tuple[str, str, StoredRow | None], ...]

    def __str__(self) -> str:
        """Name the files, for the message about a worker that died over them."""
        return f"{self.rows[0][0]} to {self.rows[-1][0]}"


def _make_shard(
    folder: Path, raw: Path, spec: DecodeSpec, shard: _Shard
) -> tuple[str, dict[str, str]] | _Refusal:
    """Write a shard; give its SHA-256, and those of the pictures that were decoded, by id."""
    digests: dict[str, str] = {}
    refusals: list[_Refusal] = []

    def rows() -> Iterator[list[Pixels | StoredRow]]:
        for path, id_, stored in shard.rows:
            found = stored or _decode_file(raw, spec, (path, id_))
            if isinstance(found, _Refusal):
                refusals.append(found)
                return
            if not isinstance(found, StoredRow):
                digests[id_] = hashlib.sha256(found.data).hexdigest()
            yield [found]

    (sha256,) = write_shard(
        folder, [layout(spec.size_px)], shard.number, rows(), count=len(shard.rows)
    )
    return refusals[0] if refusals else (sha256, digests)


def layout(size_px: int) -> Layout:
    """Describe the shards of a store."""
    return Layout("shard", (3, size_px, size_px), np.dtype(np.uint8), _REMEDY)


def _open_old(
    old: Path | None, ids: Sequence[str], size_px: int
) -> tuple[Reusable, dict[str, str]]:
    """Give what can be taken from an older store, and the digests of its pictures by id."""
    if old is None:
        return Reusable.none(), {}
    try:
        store = Store.open(old)
        store.verify_index()
    except (PipelineError, KeyError, TypeError) as error:
        log.warning("transform: the last build cannot be used: %s", error)
        return Reusable.none(), {}
    reusable = Reusable([store.pixels], list(store.index["id"]))
    reusable.keep_sound(ids)
    digests = zip(store.index["id"], store.index[DIGEST], strict=True)
    return reusable, {id_: digest for id_, digest in digests if id_ in reusable}


def row_bytes(size_px: int) -> int:
    """Give the bytes that one picture takes."""
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
        content = read_raw(raw, path, most_bytes(MAX_PIXELS))
    except RawFault as fault:
        return _Refusal(path, "unreadable", fault.detail)
    if hashlib.sha256(content).hexdigest() != sha256:
        return _Refusal(path, "changed", "")
    try:
        return decode(content, spec)
    except UndecodableImage as error:
        return _Refusal(path, "undecodable", str(error))


def _unwrap(result: tuple[str, dict[str, str]] | _Refusal, raw: Path) -> tuple[str, dict[str, str]]:
    if not isinstance(result, _Refusal):
        return result
    path = raw / result.path
    if result.kind == "changed":
        raise IntegrityError(path, "has changed since `clean` saw it", remedy="run `dvc repro`")
    if result.kind == "unreadable":
        raise IntegrityError(
            path, f"`clean` saw it, now: {result.detail}", remedy="restore it, or run `dvc repro`"
        )
    raise DataError(path, f"cannot be decoded: {result.detail}", remedy="lower clean.max_pixels")


@dataclass(frozen=True)
class Store:
    """A store that was opened: the index in memory, the pixels on disk.

    Attributes:
        folder: Where it lies.
        spec: How its pictures were made.
        index: One row for each picture: `COLUMNS`, `meta.<name>` and `DIGEST`; its index is the row
            number.
        pixels: uint8 [N, 3, H, W].
    """

    folder: Path
    spec: DecodeSpec
    index: pd.DataFrame
    pixels: Shards

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
            pixels = Shards.open(folder, layout(spec.size_px), record["shards"])
        except (KeyError, TypeError, ValueError) as error:
            raise IntegrityError(where, f"lacks or garbles {error}", remedy=_REMEDY) from error
        index = _read_index(folder / "index.parquet", rows)
        if len(pixels) != rows:
            raise IntegrityError(where, f"its shards must hold {rows} rows", remedy=_REMEDY)
        return cls(folder, spec, index, pixels)

    def __len__(self) -> int:
        return len(self.index)

    @property
    def size_px(self) -> int:
        """Side of the square pictures, pixels."""
        return self.spec.size_px

    def rows(self, split: str) -> npt.NDArray[np.int64]:
        """Give the row numbers of a split, ascending; none for a split that has no pictures."""
        return np.flatnonzero(self.index["split"].to_numpy() == split).astype(np.int64)

    def read(self, rows: Rows) -> Pixels:
        """Copy pictures into memory, in the order asked for.

        Returns:
            uint8, [B, 3, H, W].

        Raises:
            IndexError: A row number is negative or too large.
        """
        return self.pixels.read(rows)

    def read_checked(self, rows: Rows) -> Pixels:
        """Copy pictures as `read` does, and compare each with its `DIGEST` in the index.

        Raises:
            IndexError: A row number is negative or too large.
            IntegrityError: A picture differs.
        """
        pixels, digests = self.read(rows), self.index[DIGEST].to_numpy()[rows]
        for row, each, digest in zip(rows, pixels, digests, strict=True):
            if hashlib.sha256(each.data).hexdigest() != digest:
                path = self.pixels.stored(int(row)).path
                raise IntegrityError(path, "its values were changed", remedy=_REMEDY)
        return pixels

    def verify_index(self) -> None:
        """Compare the index with its sum in `store.json`.

        Raises:
            IntegrityError: It differs.
        """
        _check_file(self.folder, _read_record(self.folder / "store.json")["index"])

    def verify(self) -> None:
        """Compare the sums of all files with those in `store.json`.

        Raises:
            IntegrityError: A file differs.
        """
        self.verify_index()
        self.pixels.verify()


def _check_file(folder: Path, record: Mapping[str, Any]) -> None:
    path = folder / record["file"]
    if sha256_file(path) != record["sha256"]:
        raise IntegrityError(path, "its values were changed", remedy=_REMEDY)


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
    missing = [name for name in (*COLUMNS, DIGEST) if name not in index.columns]
    if missing:
        raise IntegrityError(path, "lacks a column", field=missing[0], remedy=_REMEDY)
    if len(index) != rows:
        raise IntegrityError(path, f"must have {rows} rows", got=len(index), remedy=_REMEDY)
    return index
