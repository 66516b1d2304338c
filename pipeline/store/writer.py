"""Write the store: rows that an earlier store holds are copied, not encoded again."""

import logging
from collections.abc import Callable, Generator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from pipeline.compute.engine import Checked, MachineParams, map_in_order
from pipeline.ground.errors import DataError, IntegrityError, PipelineError
from pipeline.ground.files import replacing_folder, sha256_file, write_json
from pipeline.ground.tables import write_table
from pipeline.modality.encoding import encoder
from pipeline.modality.table import write_modality
from pipeline.store.encoded_shard import (
    EncodedShard,
    Encoding,
    Refusal,
    encode_item,
    first_row_digest,
    row_digest,
    write_encoded_shard,
)
from pipeline.store.shard_writer import Reusable, check_room, fill_folder, pieces
from pipeline.store.shards import Array, Shards, shard_sizes
from pipeline.store.store import COLUMNS, DIGEST, FORMAT, VERSION, Store, layout
from pipeline.store.unfinished import NOTHING, Builds

log = logging.getLogger(__name__)

T = TypeVar("T")

_DIGEST_CHARS = 64


def made_from(encoding: Encoding) -> dict[str, Any]:
    """Return what the row of a raw item depends on, besides the item: JSON."""
    return {"spec": encoding.spec.to_dict(), "code": encoder(encoding.modality).code()}


def write_store(
    folder: Path,
    rows: pd.DataFrame,
    encoding: Encoding,
    *,
    raw: Path,
    machine: MachineParams,
    before: Builds = NOTHING,
) -> None:
    """Encode every row's raw item on all cores, and write the store whole or not at all.

    The bytes depend on rows, items and params alone, not on the number of workers, nor on what is
    taken from an older store; memory does not grow with the number of rows.

    Args:
        folder: The store; an older one is replaced.
        rows: Kept rows of the manifest, in its order.
        encoding: What becomes of the items.
        raw: The folder that `path` is relative to.
        machine: Workers and progress.
        before: Stores that were made from the same (`made_from`).

    Raises:
        DataError: There are no rows.
        IntegrityError: A raw item is not the one that `clean` saw.
        MachineError: The disk lacks room for the store and DVC's copy of it.
    """
    if rows.empty:
        raise DataError(raw, "there is no item to keep", remedy="see artifacts/clean/report.json")
    shape, part = layout(encoding.modality, encoding.spec), encoder(encoding.modality)
    check_room(folder, len(rows) * shape.row_bytes, remedy=f"or {part.less_room}")
    paths, ids = rows["path"].array, rows["id"].array
    reused, known = _open_old(before.whole, ids)
    reused = before.or_whole(reused, [shape], ids)
    sizes = shard_sizes(paths, encoding.shard_rows)
    named, parts = list(pieces(paths, sizes)), list(pieces(ids, sizes))
    digests = np.zeros(len(rows), f"S{_DIGEST_CHARS}")
    starts = np.cumsum([0, *sizes])
    with replacing_folder(folder) as scratch:
        work = Checked(
            partial(write_encoded_shard, scratch, shape, raw, encoding),
            partial(first_row_digest, raw, encoding),
        )

        def make(numbers: Sequence[int]) -> Generator[list[str], None, None]:
            def job(number: int) -> EncodedShard:
                pairs = zip(named[number], parts[number], strict=True)
                items = tuple((path, id_, reused.stored_row(id_)) for path, id_ in pairs)
                return EncodedShard(number, items)

            made = map_in_order(work, _Jobs(job, numbers), machine, title="transform")
            for number, result in zip(numbers, made, strict=True):
                sha256, found = _unwrap(result, raw, part.less_refused)
                rows_of = slice(starts[number], starts[number + 1])
                digests[rows_of] = [found.get(id_, "").encode() for id_ in parts[number]]
                yield [sha256]

        (shards,) = fill_folder(scratch, [shape], parts, old=reused, make=make, keep=before.keep)
        index = scratch / "index.parquet"
        meta = [name for name in rows.columns if name.startswith("meta.")]
        table = rows[[*COLUMNS, *meta]].reset_index(drop=True)
        written = Shards.open(scratch, shape, shards)
        for row in np.flatnonzero(digests == b""):
            digest = known.get(ids[row]) or row_digest(written.read(np.array([row]))[0])
            digests[row] = digest.encode()
        write_table(index, table.assign(**{DIGEST: _texts(digests)}))
        record = {
            "format": FORMAT,
            "version": VERSION,
            "rows": len(rows),
            **write_modality(encoding.modality),
            "spec": encoding.spec.to_dict(),
            "index": {"file": index.name, "sha256": sha256_file(index)},
            "shards": shards,
        }
        write_json(scratch / "store.json", record)
    kept = reused.count(ids)
    log.info(
        "transform: %d items in %d shards%s",
        len(rows),
        len(shards),
        f", {kept} of them from {reused.name}" if kept else "",
    )


class _Jobs(Sequence[EncodedShard]):
    """Shards to make, each described when it is asked for."""

    def __init__(self, job: Callable[[int], EncodedShard], numbers: Sequence[int]) -> None:
        self._job = job
        self._numbers = numbers

    def __len__(self) -> int:
        return len(self._numbers)

    def __getitem__(self, at: Any) -> Any:
        found = self._numbers[at]
        return self._job(found) if isinstance(found, int) else _Jobs(self._job, found)


def _texts(digests: npt.NDArray[np.bytes_]) -> Any:
    """Return a column of texts that all have the same length, without making any of them."""
    ends = np.arange(len(digests) + 1, dtype=np.int64) * _DIGEST_CHARS
    buffers = [None, pa.py_buffer(ends), pa.py_buffer(np.ascontiguousarray(digests))]
    column = pa.Array.from_buffers(pa.large_string(), len(digests), buffers)
    kind: Any = pd.StringDtype(na_value=np.nan)
    return kind.__from_arrow__(column)


def _open_old(old: Path | None, ids: Sequence[str]) -> tuple[Reusable, dict[str, str]]:
    """Return what can be taken from an older store, and the digests of its rows by id."""
    if old is None:
        return Reusable.none(), {}
    try:
        store = Store.open(old)
    except (PipelineError, KeyError, TypeError) as error:
        log.warning("transform: the last build cannot be used: %s", error)
        return Reusable.none(), {}
    reusable = Reusable([store.values], list(store.index["id"]))
    reusable.keep_sound(ids)
    digests = zip(store.index["id"], store.index[DIGEST], strict=True)
    return reusable, {id_: digest for id_, digest in digests if id_ in reusable}


def encode_rows(
    rows: pd.DataFrame, modality: str, specs: Sequence[Any], *, raw: Path, machine: MachineParams
) -> list[Array]:
    """Encode raw items on all cores under each of some specs, each item read once.

    Everything is in memory: this is for a sample.

    Args:
        rows: Of the manifest; at least one.
        modality: Of the items.
        specs: How they become rows.
        raw: The folder that `path` is relative to.
        machine: Workers and progress.

    Returns:
        For each spec [N, ...], in the order of the rows.

    Raises:
        IntegrityError: A raw item is not the one that `clean` saw.
    """
    work = partial(encode_item, raw, modality, tuple(specs))
    items = list(zip(rows["path"], rows["id"], strict=True))
    remedy = encoder(modality).less_refused
    made = [
        _unwrap(each, raw, remedy)
        for each in map_in_order(work, items, machine.here(), title="encode")
    ]
    return [np.stack(each) for each in zip(*made, strict=True)]


def _unwrap(result: T | Refusal, raw: Path, remedy: str) -> T:
    if not isinstance(result, Refusal):
        return result
    path = raw / result.path
    if result.kind == "changed":
        raise IntegrityError(path, "has changed since `clean` saw it", remedy="run `dvc repro`")
    if result.kind == "unreadable":
        raise IntegrityError(
            path, f"`clean` saw it, now: {result.detail}", remedy="restore it, or run `dvc repro`"
        )
    raise DataError(path, f"cannot be decoded: {result.detail}", remedy=remedy)
