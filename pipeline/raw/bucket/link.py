"""`rootstock data link`: take what lies in a bucket as raw data, as it is now."""

import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from pipeline.ground.errors import DataError, ParamsError
from pipeline.ground.files import replacing
from pipeline.raw.archive.archive import is_archive
from pipeline.raw.bucket.pointer import Bucket, Linked, read_bucket, write_bucket
from pipeline.raw.bucket.reading import need_s3
from pipeline.raw.folder import is_ignored
from pipeline.raw.item_names import is_item_name, item_nouns
from pipeline.raw.labels.choice import LABEL_NAMES
from pipeline.raw.shards.class_names import CLASS_FILES
from pipeline.raw.unsafe_entries import safe_path

_URL = re.compile(r"s3://[^/]+(/[^/]+)*")
_MOST_COPY_BYTES = 1 << 30
_PACK = "pack it into a plain .tar, by `tar --sort=name -cf`"


def link(url: str, raw: Path) -> str:
    """List a bucket, write what lies there into a raw folder, and copy its label files there.

    Args:
        url: `s3://bucket`, or `s3://bucket/prefix`.
        raw: The raw folder; it is made if it is not there.

    Returns:
        What was found, for people.

    Raises:
        ParamsError: The URL is none of S3, or what reads S3 is not installed.
        DataError: There is no tar, something that cannot be read there, or a file in the way.
        IntegrityError: A label file changed while it was copied.
        MachineError: The bucket cannot be listed or read.
    """
    url = url.rstrip("/")
    if not _URL.fullmatch(url):
        raise ParamsError("rootstock data link", "must be s3://bucket/prefix", got=url)
    need_s3()
    from pipeline.raw.bucket.s3 import list_objects

    objects = {name: each for name, each in list_objects(url).items() if not _is_hidden(name)}
    tars = {name: each for name, each in objects.items() if _is_tar(name, each)}
    copies = {name: each for name, each in objects.items() if _is_label_file(name)}
    if not tars:
        raise DataError(url, "there is no .tar", got=sorted(objects)[:3], remedy=_PACK)
    before = read_bucket(raw) if raw.is_dir() else None
    for name, file in copies.items():
        _copy(file, raw / name, is_ours=before is not None and name in before.copies)
    write_bucket(raw, Bucket(url, tars, copies))
    left = sorted(set(objects) - set(tars) - set(copies))
    return _told(raw, Bucket(url, tars, copies), before, left)


def _is_hidden(name: str) -> bool:
    return any(map(is_ignored, name.split("/")))


def _is_label_file(name: str) -> bool:
    return PurePosixPath(name).name.lower() in (*LABEL_NAMES, *CLASS_FILES)


def _is_tar(name: str, file: Linked) -> bool:
    """Return whether an object is a tar.

    Raises:
        DataError: It holds items and cannot be read there, or has no safe name.
    """
    path, fault = safe_path(name)
    if fault or path != name:
        raise DataError(file.url, f"must not be {fault or 'a name with empty parts'}")
    if is_archive(Path(name)) and name.lower().endswith(".tar"):
        return True
    if _is_label_file(name):
        return False
    if name.lower().endswith((".zip", ".parquet")) or is_item_name(name):
        raise DataError(
            file.url,
            f"in a bucket, {item_nouns()} are read from .tar files alone",
            remedy=f"{_PACK}, or move it elsewhere",
        )
    return False


def _copy(file: Linked, target: Path, *, is_ours: bool) -> None:
    """Copy a small object into the raw folder; a file of the user is not replaced by another."""
    from pipeline.raw.bucket.s3 import read_whole

    if file.size_bytes > _MOST_COPY_BYTES:
        raise DataError(
            file.url,
            f"must have at most {_MOST_COPY_BYTES} bytes",
            got=file.size_bytes,
            remedy="name it by data.labels, from a place of its own",
        )
    content = read_whole(file)
    if target.is_file() and not is_ours and target.read_bytes() != content:
        raise DataError(
            target, f"is another file than {file.url}", remedy="remove one of the two, or rename it"
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    with replacing(target) as scratch:
        scratch.write_bytes(content)


def _told(raw: Path, bucket: Bucket, before: Bucket | None, left: list[str]) -> str:
    size = bucket.size_bytes() / 1e6
    lines = [f"{raw}: {len(bucket.tars)} tars at {bucket.url}, {size:,.0f} MB"]
    if before is not None:
        lines[0] += f"; {_difference(before.tars, bucket.tars)}"
    if bucket.copies:
        lines.append(f"copied: {', '.join(sorted(bucket.copies))}")
    if left:
        lines.append(f"left out: {len(left)} other objects, first {left[0]!r}")
    if any(each.version is None for each in bucket.tars.values()):
        lines.append(
            "warning: the bucket keeps no versions: once a tar is overwritten, nobody can make "
            "today's results again"
        )
    lines.append(f"next: dvc add {raw}")
    return "\n".join(lines) + "\n"


def _difference(before: Mapping[str, Linked], now: Mapping[str, Linked]) -> str:
    new, gone = len(now.keys() - before.keys()), len(before.keys() - now.keys())
    changed = sum(before[name] != now[name] for name in before.keys() & now.keys())
    return f"{new} new, {changed} changed, {gone} gone"
