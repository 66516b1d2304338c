"""What is known of the members of linked tars, kept in `.rootstock/buckets`.

An object is known by its entity tag and version. So what was found in it stays true: the places of
its members, and the SHA-256 of those that were read. Whoever deletes the folder has both read
again, and loses nothing.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.ground.files import replacing
from pipeline.raw.archive.io import Member
from pipeline.raw.bucket.pointer import Linked

KEPT = Path(".rootstock") / "buckets"
_MEMBERS = pa.schema(
    [
        ("path", pa.string()),
        ("offset", pa.int64()),
        ("bytes", pa.int64()),
        ("reason", pa.string()),
        ("detail", pa.string()),
    ]
)
_IDS = pa.schema([("path", pa.string()), ("sha256", pa.string())])


def kept_members(file: Linked, look: Callable[[], Iterable[Member]]) -> list[Member]:
    """Return the members of a tar in its order; `look` lists them where nobody did before."""
    place = KEPT / f"{file.key()}.members.parquet"
    rows = _read(place, _MEMBERS)
    if rows is not None:
        return [
            Member(path, offset, size, size, fault=(reason, detail) if reason else None)
            for path, offset, size, reason, detail in rows
        ]
    found, nothing = list(look()), (None, None)
    told = [(each.path, each.offset, each.size_bytes, *(each.fault or nothing)) for each in found]
    _write(place, _MEMBERS, told)
    return found


def are_kept(file: Linked) -> bool:
    """Return whether the members of a tar were listed before."""
    return (KEPT / f"{file.key()}.members.parquet").is_file()


def kept_ids(file: Linked) -> dict[str, str]:
    """Return the SHA-256 of the members that were read, by path."""
    return dict(_read(KEPT / f"{file.key()}.ids.parquet", _IDS) or ())


def keep_ids(file: Linked, ids: Mapping[str, str]) -> None:
    """Keep the SHA-256 of members that were read, beside those that are kept."""
    before = kept_ids(file)
    if not ids.items() <= before.items():
        together = sorted((before | dict(ids)).items())
        _write(KEPT / f"{file.key()}.ids.parquet", _IDS, together)


def _read(path: Path, schema: pa.Schema) -> list[tuple[Any, ...]] | None:
    """Read a table; None where there is none, or it is damaged."""
    try:
        table = pq.read_table(path, schema=schema)
    except (OSError, ValueError):  # those of Arrow are among them
        return None
    return list(zip(*(column.to_pylist() for column in table.columns), strict=True))


def _write(path: Path, schema: pa.Schema, rows: Sequence[tuple[Any, ...]]) -> None:
    columns = list(zip(*rows, strict=True)) or [()] * len(schema)
    arrays = [pa.array(each, kind.type) for each, kind in zip(columns, schema, strict=True)]
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as scratch:
        pq.write_table(pa.table(arrays, schema=schema), scratch, compression="zstd")
