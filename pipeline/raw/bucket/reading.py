"""The tars of a bucket as parts of a raw folder: opened, announced, and known from before."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path

from pipeline.ground.errors import ParamsError
from pipeline.ground.limits import clock_stopped, memory_not_counted
from pipeline.raw.bucket.members import are_kept, keep_ids, kept_ids
from pipeline.raw.bucket.pointer import Bucket, Linked, read_bucket
from pipeline.raw.bucket.tar import LinkedTar

_OPEN_TARS = 8
"""In each process; paths come sorted, so that one would nearly do."""

_AT_ONCE = 16
"""Tars that are listed at the same time: each waits for the answers of the bucket."""


def need_s3() -> None:
    """Check that what reads S3 is installed.

    Raises:
        ParamsError: It is not.
    """
    try:
        import s3fs  # noqa: F401
    except ImportError as error:
        raise ParamsError(
            "data.path",
            "names a folder with data on S3, which needs packages that are not installed",
            remedy="run `pip install 'rootstock[s3]'`",
        ) from error


@lru_cache(maxsize=_OPEN_TARS)
def open_linked(file: Linked) -> LinkedTar:
    """Return a linked tar, opened once in a process.

    Raises:
        ParamsError: What reads S3 is not installed.
    """
    with clock_stopped(), memory_not_counted():  # libraries are not what an item takes
        need_s3()
        from pipeline.raw.bucket.s3 import RemoteSource

    return LinkedTar(file, RemoteSource(file))


def list_all(bucket: Bucket, names: Iterable[str]) -> None:
    """List the members of tars, several at a time, so that they are known.

    Raises:
        DataError: A tar is compressed, cut or corrupt.
        IntegrityError: An object is gone, or another one.
        MachineError: One cannot be read.
    """
    new = [bucket.tars[name] for name in names if not are_kept(bucket.tars[name])]
    if not new:
        return
    need_s3()
    from pipeline.raw.bucket.s3 import RemoteSource

    def list_one(file: Linked) -> None:  # it keeps them on disk; together they may be too many
        LinkedTar(file, RemoteSource(file)).members()

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for _ in pool.map(list_one, new):
            pass


def expect_members(raw: Path, members: Iterable[tuple[str, str]]) -> None:
    """Announce members that will be read soon.

    Args:
        raw: The data folder.
        members: Tars in it, and the paths of their members.
    """
    if (bucket := read_bucket(raw)) is None:
        return
    by_tar: defaultdict[str, list[str]] = defaultdict(list)
    for file, member in members:
        by_tar[file].append(member)
    for file, paths in by_tar.items():
        if file in bucket.tars:
            open_linked(bucket.tars[file]).expect(paths)


def ids_from_before(raw: Path, paths: Sequence[str]) -> dict[str, str]:
    """Return the SHA-256 of linked items that were read before, by path; nothing is read."""
    bucket = read_bucket(raw)
    if bucket is None:
        return {}
    known: dict[str, str] = {}
    for file, members in _by_tar(bucket, paths).items():
        ids = kept_ids(bucket.tars[file])
        known |= {f"{file}/{each}": ids[each] for each in members if each in ids}
    return known


def remember_ids(raw: Path, ids: dict[str, str]) -> None:
    """Keep the SHA-256 of items that were read, by path; those that are no linked ones are left."""
    bucket = read_bucket(raw)
    if bucket is None:
        return
    for file, members in _by_tar(bucket, ids).items():
        keep_ids(bucket.tars[file], {each: ids[f"{file}/{each}"] for each in members})


def _by_tar(bucket: Bucket, paths: Iterable[str]) -> dict[str, list[str]]:
    """Return the members among the paths, by their tar."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for path in paths:
        at = path.find("/")
        while at >= 0 and path[:at] not in bucket.tars:
            at = path.find("/", at + 1)
        if at >= 0:
            found[path[:at]].append(path[at + 1 :])
    return found
