"""One shard of the store: raw items encoded to rows, in a process of its own.

It imports what that takes and no more: workers start sooner without the tables and plots of the
stage that they work for.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.modality.encoding import encoder
from pipeline.raw.source import RawFault, expect, read_raw
from pipeline.store.shard_writer import write_shard
from pipeline.store.shards import Array, Layout, StoredRows


@dataclass(frozen=True)
class Refusal:
    """Why a raw item could not be taken; a value, since errors do not cross processes well."""

    path: str
    kind: str
    detail: str


@dataclass(frozen=True)
class EncodedShard:
    """What one worker makes.

    Attributes:
        number: Of the shard.
        rows: Of each row: path of the raw item, its SHA-256, and where an earlier store holds it.
    """

    number: int
    rows: tuple[tuple[str, str, Sequence[StoredRows] | None], ...]

    def __str__(self) -> str:
        """Name the files, for the message about a worker that died over them."""
        return f"{self.rows[0][0]} to {self.rows[-1][0]}"


@dataclass(frozen=True)
class Encoding:
    """What becomes of raw items.

    Attributes:
        modality: Of all of them.
        spec: How each becomes a row: of the type of the modality's Shelf.
        shard_rows: Mean number of rows in a shard.
    """

    modality: str
    spec: Any
    shard_rows: int


def write_encoded_shard(
    folder: Path, layout: Layout, raw: Path, encoding: Encoding, shard: EncodedShard
) -> tuple[str, dict[str, str]] | Refusal:
    """Encode the raw items of a shard, and write it.

    Args:
        folder: It is there already.
        layout: Of the store.
        raw: The data folder.
        encoding: What becomes of each item.
        shard: What to make.

    Returns:
        The shard's SHA-256, and those of the rows that were encoded, by id.
    """
    expect(raw, (path for path, _, stored in shard.rows if stored is None))
    digests: dict[str, str] = {}
    refusals: list[Refusal] = []

    def rows() -> Iterator[Sequence[Array | StoredRows]]:
        for path, id_, stored in shard.rows:
            if stored is not None:
                yield stored
                continue
            found = encode_item(raw, encoding.modality, [encoding.spec], (path, id_))
            if isinstance(found, Refusal):
                refusals.append(found)
                return
            digests[id_] = row_digest(found[0])
            yield found

    (sha256,) = write_shard(folder, [layout], shard.number, rows(), count=len(shard.rows))
    return refusals[0] if refusals else (sha256, digests)


def first_row_digest(raw: Path, encoding: Encoding, shard: EncodedShard) -> str:
    """Return a SHA-256 of the first row of a shard as it is encoded here; nothing is written."""
    path, id_, _ = shard.rows[0]
    found = encode_item(raw, encoding.modality, [encoding.spec], (path, id_))
    return found.kind if isinstance(found, Refusal) else row_digest(found[0])


def row_digest(row: Array) -> str:
    """Return the SHA-256 of the values of a row."""
    return hashlib.sha256(row.data).hexdigest()


def encode_item(
    raw: Path, modality: str, specs: Sequence[Any], item: tuple[str, str]
) -> Sequence[Array] | Refusal:
    """Return the row of a raw item under each spec.

    Args:
        raw: The data folder.
        modality: Of the item.
        specs: How it becomes a row.
        item: Its path and SHA-256.
    """
    path, sha256 = item
    part = encoder(modality)
    try:
        content = read_raw(raw, path, part.max_bytes)
    except RawFault as fault:
        return Refusal(path, "unreadable", fault.detail)
    if hashlib.sha256(content).hexdigest() != sha256:
        return Refusal(path, "changed", "")
    rows = part.encode(content, specs)
    return Refusal(path, "refused", rows) if isinstance(rows, str) else rows
