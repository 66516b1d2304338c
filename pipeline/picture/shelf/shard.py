"""One shard of the tensor store: raw files decoded to rows, in a process of its own.

It imports what that takes and no more: workers start sooner without the tables and plots of the
stage that they work for.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.picture.read.decode import DecodeSpec, UndecodableImage, decode
from pipeline.picture.read.limits import item_limits
from pipeline.picture.read.spec import Pixels
from pipeline.raw.source import RawFault, expect, read_raw
from pipeline.store.shard_writer import write_shard
from pipeline.store.shards import Layout, StoredRows


@dataclass(frozen=True)
class Refusal:
    """Why a raw file could not be taken; a value, since errors do not cross processes well."""

    path: str
    kind: str
    detail: str


@dataclass(frozen=True)
class PictureShard:
    """What one worker makes.

    Attributes:
        number: Of the shard.
        rows: Of each row: path of the raw file, its SHA-256, and where an earlier store holds it.
    """

    number: int
    rows: tuple[tuple[str, str, Sequence[StoredRows] | None], ...]

    def __str__(self) -> str:
        """Name the files, for the message about a worker that died over them."""
        return f"{self.rows[0][0]} to {self.rows[-1][0]}"


def write_picture_shard(
    folder: Path, layout: Layout, raw: Path, spec: DecodeSpec, shard: PictureShard
) -> tuple[str, dict[str, str]] | Refusal:
    """Decode the raw files of a shard, and write it.

    Args:
        folder: It is there already.
        layout: Of the store.
        raw: The folder with the raw files.
        spec: What becomes of each picture.
        shard: What to make.

    Returns:
        The shard's SHA-256, and those of the pictures that were decoded, by id.
    """
    expect(raw, (path for path, _, stored in shard.rows if stored is None))
    digests: dict[str, str] = {}
    refusals: list[Refusal] = []

    def rows() -> Iterator[Sequence[Pixels | StoredRows]]:
        for path, id_, stored in shard.rows:
            if stored is not None:
                yield stored
                continue
            found = _decode_file(raw, spec, (path, id_))
            if isinstance(found, Refusal):
                refusals.append(found)
                return
            digests[id_] = hashlib.sha256(found.data).hexdigest()
            yield [found]

    (sha256,) = write_shard(folder, [layout], shard.number, rows(), count=len(shard.rows))
    return refusals[0] if refusals else (sha256, digests)


def _decode_file(raw: Path, spec: DecodeSpec, item: tuple[str, str]) -> Pixels | Refusal:
    path, sha256 = item
    try:
        content = read_raw(raw, path, item_limits().bytes)
    except RawFault as fault:
        return Refusal(path, "unreadable", fault.detail)
    if hashlib.sha256(content).hexdigest() != sha256:
        return Refusal(path, "changed", "")
    try:
        return decode(content, spec)
    except UndecodableImage as error:
        return Refusal(path, "undecodable", str(error))
