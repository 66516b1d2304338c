"""Files appear whole or not at all, and equal content gives equal bytes.

A file is written beside its target under a temporary name, flushed to disk, and renamed over it.
A folder likewise. What a killed process leaves behind starts with `.tmp-` and names its owner; the
next writer of the same target on that host removes it. Of another host's nobody knows if it lives.
"""

import csv
import glob
import hashlib
import json
import os
import shutil
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

from pipeline.ground.errors import DataError, IntegrityError
from pipeline.ground.locks import has_ended, owner

_BLOCK_BYTES = 1 << 20
_PART = ".part-"

_SYNCS = 16
"""Files that are flushed at once."""


def _scratch(target: Path) -> Path:
    """Return a fresh temporary name beside `target`, after removing what dead writers left there.

    Raises:
        ValueError: The target has no name of its own, so that beside it would be in it.
    """
    if target.name in ("", ".."):
        raise ValueError(f"{target}: must end in a name")
    target.parent.mkdir(parents=True, exist_ok=True)
    prefix = f".tmp-{target.name}-"
    for stale in target.parent.glob(f"{glob.escape(prefix)}*"):
        # The rest of another name belongs to a target that begins with this one's and a dash.
        if has_ended(stale.name.removeprefix(prefix)):
            remove(stale)
    return target.parent / f"{prefix}{owner()}"


def target_fault(target: Path) -> str | None:
    """Return why a path cannot be written, or None; a write may still fail later."""
    path = target.absolute()
    above = next(each for each in path.parents if os.path.lexists(each))
    if not above.is_dir():
        return "must be in a folder"
    scratch = path.with_name(f".tmp-{path.name}-{owner()}")
    missing = path.parent.relative_to(above).parts
    for each in (*(above / name for name in (*missing, scratch.name)), scratch):
        try:
            each.lstat()
        except FileNotFoundError:
            continue
        except OSError as error:
            return f"cannot be written: {os.strerror(error.errno or 0)}"
    return None


def remove(path: Path) -> None:
    """Remove a file or a folder, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync_folder(folder: Path) -> None:
    """Flush what is in a folder, and its list of names.

    Many files are flushed at a time: they share the commits of the file system's journal, and each
    commit may wait for a busy disk. A file with a second name is skipped (see `link_file`): whoever
    wrote it has flushed it, or chose not to.
    """
    paths = [path for path in sorted(folder.rglob("*")) if path.is_dir() or not _has_links(path)]
    with ThreadPoolExecutor(_SYNCS) as pool:
        for _ in pool.map(_sync, [*paths, folder]):
            pass


def _has_links(path: Path) -> bool:
    return path.stat().st_nlink > 1


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """Yield a temporary path; it becomes `target` if the block ends without an error."""
    scratch = _scratch(target)
    try:
        yield scratch
        _sync(scratch)
        scratch.replace(target)
        _sync(target.parent)
    except BaseException:
        remove(scratch)
        raise


@contextmanager
def replacing_folder(target: Path) -> Iterator[Path]:
    """Yield an empty temporary folder; it becomes `target` if the block ends without an error.

    An older `target` is removed first, so a reader sees the old folder, none, or the new one.
    """
    scratch = _scratch(target)
    remove(scratch)
    scratch.mkdir()
    try:
        yield scratch
        _sync_folder(scratch)
        remove(target)
        scratch.replace(target)
        _sync(target.parent)
    except BaseException:
        remove(scratch)
        raise


@contextmanager
def syncing() -> Iterator[Callable[[Path], None]]:
    """Yield a function that flushes a finished file to disk in the background.

    The block ends when all files are on disk.

    Raises:
        OSError: One could not be flushed.
    """
    with ThreadPoolExecutor(1) as pool:
        waiting: deque[Future[None]] = deque()

        def sync(path: Path) -> None:
            while waiting and waiting[0].done():
                waiting.popleft().result()
            waiting.append(pool.submit(_sync, path))

        try:
            yield sync
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
        for each in waiting:
            each.result()


@contextmanager
def attempt(target: Path) -> Iterator[Path]:
    """Yield a path of this attempt alone; it becomes `target` if the block ends without an error.

    For a file that several processes may write at once, to the same bytes, on whatever hosts: one
    that was taken for dead may wake. The last one replaces whole bytes by the same. The file is not
    flushed: that would keep the writer waiting for each one. Who gathers them does (`syncing`).
    """
    part = target.with_name(f"{_PART}{target.name}-{uuid4().hex}")
    try:
        yield part
        part.replace(target)
    except BaseException:
        remove(part)
        raise


def sweep_attempts(folder: Path) -> None:
    """Remove what attempts left that did not end, once every file of a folder is there."""
    for part in folder.glob(f"{_PART}*"):
        remove(part)


def copy_file(source: Path, target: Path) -> None:
    """Copy a file's bytes inside the kernel; where the file system can, both share their blocks."""
    with source.open("rb") as reader, target.open("wb") as writer:
        left = os.fstat(reader.fileno()).st_size
        while left:
            try:
                copied = os.copy_file_range(reader.fileno(), writer.fileno(), left)
            except (AttributeError, OSError):  # another system, or two file systems
                shutil.copyfileobj(reader, writer, _BLOCK_BYTES)
                return
            if not copied:
                return
            left -= copied


def link_file(source: Path, target: Path) -> None:
    """Link a file of DVC's cache to a second name; copy it where no link is allowed.

    DVC replaces each link with a copy when it takes over the output, unless `cache.type` asks for
    links. So a later edit in place cannot reach its cache. Until then the file is read-only.
    """
    try:
        target.hardlink_to(source.resolve())
    except OSError:
        copy_file(source, target)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text."""
    with replacing(path) as scratch:
        scratch.write_text(text, encoding="utf-8", newline="\n")


def canonical_json(value: Any) -> str:
    """Return the one JSON text of a value: sorted keys, no spaces, no NaN or infinity.

    Raises:
        ValueError: There is a NaN or an infinity.
    """
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False
    )


def write_json(path: Path, value: Any) -> None:
    """Write JSON for people and `git diff`: two spaces, sorted keys, a final newline."""
    text = json.dumps(value, sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False)
    write_text(path, text + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file that this project wrote.

    Raises:
        DataError: The file is missing.
        IntegrityError: It is not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise DataError(path, "no such file", remedy="run `dvc repro`") from error
    except ValueError as error:
        raise IntegrityError(
            path, f"not valid JSON ({error})", remedy="run `dvc repro` or `dvc checkout`"
        ) from error


def write_rows(path: Path, rows: Sequence[Mapping[str, Any]], *, columns: Sequence[str]) -> None:
    """Write a CSV file with a header; floats in the shortest form that reads back as the same."""
    with replacing(path) as scratch, scratch.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def sha256_file(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hex."""
    return _digest(path, "sha256")


def md5_file(path: Path) -> str:
    """Return the MD5 of a file's bytes, in hex: what DVC records of it. Not a security measure."""
    return _digest(path, "md5")


def sha256_json(value: Any) -> str:
    """Return the SHA-256 of a value's canonical JSON, in hex."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def _digest(path: Path, algorithm: str) -> str:
    digest = hashlib.new(algorithm, usedforsecurity=False)
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()
