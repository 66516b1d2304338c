"""Members of archives, taken out: what all other members hold stays the same bytes."""

import tarfile
import zipfile
from collections.abc import Collection
from pathlib import Path
from typing import BinaryIO

from pipeline.ground.errors import DataError
from pipeline.ground.files import replacing
from pipeline.raw.archive.archive import Archive

_BLOCK = 512
_BLOCK_BYTES = 1 << 20
_LOCAL_HEAD, _LENGTHS = 30, 26
"""Of a zip's local header: its bytes, and where the lengths of name and extra field stand."""


def cut_members(path: Path, members: Collection[str]) -> None:
    """Take members out of a tar or zip file.

    Args:
        path: The archive.
        members: Their paths, as `Archive.members` gives them.

    Raises:
        DataError: The archive is damaged, lacks one, or would lose another one by this.
    """
    listed = list(Archive(path).members())
    offsets = {each.offset for each in listed if each.path in members}
    rest = [each.path for each in listed if each.path not in members]
    if len({each.path for each in listed if each.path in members}) < len(set(members)):
        raise DataError(
            path, "lacks a member that is to be taken out", remedy="run `dvc repro clean`"
        )
    with replacing(path) as scratch:
        if path.name.lower().endswith(".zip"):
            _cut_zip(path, scratch, offsets)
        else:
            _cut_tar(path, scratch, offsets)
        if [each.path for each in Archive(scratch, path.name).members()] != rest:
            raise DataError(
                path, "cannot be written without changing other members", remedy="pack it again"
            )


def _cut_tar(path: Path, target: Path, offsets: Collection[int]) -> None:
    """Copy a tar but for members; nothing else of it changes."""
    gaps = []
    with tarfile.open(path, "r:") as archive:
        for each in archive:
            if each.offset_data in offsets:
                gaps.append((each.offset, each.offset_data + -(-each.size // _BLOCK) * _BLOCK))
    with path.open("rb") as source, target.open("wb") as out:
        for start, end in [*gaps, (path.stat().st_size, None)]:
            left = start - source.tell()
            while left > 0 and (block := source.read(min(left, _BLOCK_BYTES))):
                out.write(block)
                left -= len(block)
            if end is not None:
                source.seek(end)


def _cut_zip(path: Path, target: Path, offsets: Collection[int]) -> None:
    """Pack the other members again, as they were packed: names, times and methods stay."""
    with path.open("rb") as raw, zipfile.ZipFile(path) as old, zipfile.ZipFile(target, "w") as new:
        new.comment = old.comment
        for each in old.infolist():
            if _data_offset(raw, each) in offsets:
                continue
            head = zipfile.ZipInfo(each.orig_filename, each.date_time)
            head.compress_type, head.create_system = each.compress_type, each.create_system
            head.external_attr, head.comment = each.external_attr, each.comment
            with (
                old.open(each) as source,
                new.open(head, "w", force_zip64=each.file_size >> 31 > 0) as out,
            ):
                while block := source.read(_BLOCK_BYTES):
                    out.write(block)


def _data_offset(raw: BinaryIO, info: zipfile.ZipInfo) -> int:
    """Return where the bytes of a member begin: behind its local header."""
    raw.seek(info.header_offset + _LENGTHS)
    name, extra = (int.from_bytes(raw.read(2), "little") for _ in range(2))
    return info.header_offset + _LOCAL_HEAD + name + extra
