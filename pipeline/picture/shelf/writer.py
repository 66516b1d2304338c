"""Write the tensor store: pictures that an earlier store holds are copied, not decoded again."""

import logging
from collections.abc import Generator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.compute.engine import MachineParams, map_in_order
from pipeline.ground.errors import DataError, IntegrityError, PipelineError
from pipeline.ground.files import replacing_folder, sha256_file, write_json
from pipeline.ground.tables import write_table
from pipeline.picture.read import decode, deep, tiff
from pipeline.picture.read import spec as picture
from pipeline.picture.shelf.params import TransformParams
from pipeline.picture.shelf.shard import PictureShard, Refusal, write_picture_shard
from pipeline.picture.shelf.store import COLUMNS, DIGEST, FORMAT, VERSION, Store, layout
from pipeline.raw import sniff
from pipeline.store.previous_build import code_digest
from pipeline.store.shard_writer import Reusable, check_room, fill_folder, pieces
from pipeline.store.shards import shard_sizes

log = logging.getLogger(__name__)


def made_from(params: TransformParams) -> dict[str, Any]:
    """Return what the picture of a raw file in the store depends on, besides the file: JSON."""
    return {
        "spec": params.decode_spec().to_dict(),
        "code": code_digest(decode, deep, picture, sniff, tiff, versions=decode.VERSIONS),
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
    shape = layout(params.size_px)
    check_room(folder, len(rows) * shape.row_bytes, remedy="or lower transform.size_px")
    paths, ids = list(rows["path"]), list(rows["id"])
    reused, digests = _open_old(old, ids, params.size_px)
    sizes = shard_sizes(paths, params.shard_rows)
    named = list(pieces(paths, sizes))
    parts = list(pieces(ids, sizes))
    with replacing_folder(folder) as scratch:
        work = partial(write_picture_shard, scratch, shape, raw, params.decode_spec())

        def make(numbers: Sequence[int]) -> Generator[list[str], None, None]:
            jobs = [
                PictureShard(
                    number,
                    tuple(
                        (path, id_, reused.stored_row(id_))
                        for path, id_ in zip(named[number], parts[number], strict=True)
                    ),
                )
                for number in numbers
            ]
            for made in map_in_order(work, jobs, machine, title="transform"):
                sha256, found = _unwrap(made, raw)
                digests.update(found)
                yield [sha256]

        (shards,) = fill_folder(scratch, [shape], parts, old=reused, make=make)
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
    log.info(
        "transform: %d pictures in %d shards%s",
        len(rows),
        len(shards),
        f", {kept} of them from the last build" if kept else "",
    )


def _open_old(
    old: Path | None, ids: Sequence[str], size_px: int
) -> tuple[Reusable, dict[str, str]]:
    """Return what can be taken from an older store, and the digests of its pictures by id."""
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


def _unwrap(result: tuple[str, dict[str, str]] | Refusal, raw: Path) -> tuple[str, dict[str, str]]:
    if not isinstance(result, Refusal):
        return result
    path = raw / result.path
    if result.kind == "changed":
        raise IntegrityError(path, "has changed since `clean` saw it", remedy="run `dvc repro`")
    if result.kind == "unreadable":
        raise IntegrityError(
            path, f"`clean` saw it, now: {result.detail}", remedy="restore it, or run `dvc repro`"
        )
    raise DataError(path, f"cannot be decoded: {result.detail}", remedy="lower clean.max_pixels")
