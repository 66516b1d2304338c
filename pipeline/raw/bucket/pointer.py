"""`rootstock-bucket.json` in a raw folder: which tars of a bucket count as if they lay in it.

It holds of each tar what no other object has: its entity tag, and its version where the bucket
keeps versions. DVC tracks it with the folder, so that an older commit names the older objects.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from pipeline.ground.errors import DataError
from pipeline.ground.files import read_json, sha256_json, write_json

POINTER = "rootstock-bucket.json"
_AGAIN = "run `rootstock data link` again, or `dvc checkout`"


@dataclass(frozen=True, slots=True)
class Linked:
    """One object in a bucket, as it was when it was linked."""

    url: str
    size_bytes: int
    etag: str
    version: str | None
    """None where the bucket keeps no versions."""

    def key(self) -> str:
        """Return a name for what is known of its content: 32 hex digits."""
        return sha256_json([self.url, self.size_bytes, self.etag, self.version])[:32]


@dataclass(frozen=True)
class Bucket:
    """What a raw folder has in a bucket.

    Attributes:
        url: `s3://bucket/prefix`, without a slash at its end.
        tars: By their paths below `url`, which are their paths in the raw folder.
        copies: Small files that were copied from there into the folder, label files.
    """

    url: str
    tars: Mapping[str, Linked]
    copies: Mapping[str, Linked]

    def size_bytes(self) -> int:
        """Return the bytes of all tars."""
        return sum(each.size_bytes for each in self.tars.values())


def write_bucket(raw: Path, bucket: Bucket) -> Path:
    """Write the file into a raw folder, and return its path."""

    def told(objects: Mapping[str, Linked]) -> dict[str, Any]:
        return {
            name: {"bytes": each.size_bytes, "etag": each.etag, "version": each.version}
            for name, each in sorted(objects.items())
        }

    content = {"url": bucket.url, "tars": told(bucket.tars), "copies": told(bucket.copies)}
    write_json(raw / POINTER, content)
    return raw / POINTER


def read_bucket(raw: Path) -> Bucket | None:
    """Return what a raw folder has in a bucket; None where it has no such file.

    Raises:
        DataError: The file is not as `rootstock data link` writes it.
    """
    path = raw / POINTER
    try:
        status = path.stat()
    except OSError:
        return None
    return _read(path, (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns))


def linked_tar(raw: Path, file: str) -> Linked | None:
    """Return the tar of a bucket that stands for a file of a raw folder, or None."""
    bucket = read_bucket(raw)
    return None if bucket is None else bucket.tars.get(file)


@lru_cache(maxsize=8)
def _read(path: Path, identity: tuple[int, ...]) -> Bucket:
    del identity  # a key: a changed file is read anew
    match read_json(path):
        case {"url": str(url), "tars": dict(tars), "copies": dict(copies), **rest} if not rest:
            return Bucket(url, _linked(path, url, tars), _linked(path, url, copies))
    raise DataError(path, "must have url, tars and copies", remedy=_AGAIN)


def _linked(path: Path, url: str, objects: Mapping[str, Any]) -> dict[str, Linked]:
    found = {}
    for name, told in objects.items():
        match told:
            case {"bytes": int(size), "etag": str(etag), "version": str() | None as version}:
                found[name] = Linked(f"{url}/{name}", size, etag, version)
            case _:
                raise DataError(
                    path, "must have bytes, etag and version", field=name, remedy=_AGAIN
                )
    return found
