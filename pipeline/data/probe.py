"""One look at one file: what it is, what its pixels hash to, or why it cannot be used."""

import errno
import hashlib
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from pipeline.data.decode import open_picture
from pipeline.data.guard import entry_fault
from pipeline.data.picture import NOTES as PICTURE_NOTES
from pipeline.data.picture import Picture, Pixels, UndecodableImage
from pipeline.files import sha256_file
from pipeline.parallel import MachineParams, map_in_order

NOTES = PICTURE_NOTES | {
    "constant": "all its pixels have one color",
    "other_extension": "its name promises another format",
}
"""What may be noted of a picture that is kept, and what each note means."""

_EXTENSIONS = {
    ".jpg": ("JPEG", "MPO"), ".jpeg": ("JPEG", "MPO"), ".png": ("PNG",), ".gif": ("GIF",),
    ".bmp": ("BMP",), ".tif": ("TIFF",), ".tiff": ("TIFF",), ".webp": ("WEBP",),
    ".avif": ("AVIF",),
}  # fmt: skip
_BYTES_PER_PIXEL = 16
"""Of the least compact encoding, four channels of 32 bits; a larger file is not read at once."""
_SLACK_BYTES = 64 << 20
_REFUSALS = (errno.EACCES, errno.EPERM, errno.ENOENT, errno.ELOOP, errno.ENXIO)


@dataclass(frozen=True)
class Limits:
    """What decides whether a file is decoded at all."""

    max_pixels: int
    animated: Literal["first", "reject"]


@dataclass(frozen=True, slots=True)
class Probe:
    """What was seen of one file; `reason` is None for a picture that decodes in full."""

    id: str | None = None
    """SHA-256 of the file's bytes, in hex."""
    width: int | None = None
    """Pixels, after the EXIF orientation."""
    height: int | None = None
    mode: str | None = None
    """Pillow's name of the pixel layout in the file."""
    format: str | None = None
    pixel_hash: str | None = None
    """SHA-256 over mode, shape and pixels."""
    reason: str | None = None
    detail: str = ""
    notes: tuple[str, ...] = ()


def probe_all(
    raw: Path, paths: Sequence[str], limits: Limits, machine: MachineParams
) -> Iterator[Probe]:
    """Probe files on all cores; the probes come in the order of `paths`."""
    return map_in_order(partial(probe_file, raw, limits), paths, machine, title="clean")


def probe_file(raw: Path, limits: Limits, path: str) -> Probe:
    """Read one file once and decode it in full; a bad file is an answer, not an error.

    Args:
        raw: The data folder; a link that leaves it is not followed.
        limits: What is not decoded.
        path: Relative to `raw`.

    Raises:
        OSError: The machine fails (no memory, too many open files), which says nothing of the file.
    """
    full = raw / path
    try:
        fault = entry_fault(str(full), raw.resolve())
        if fault:
            return Probe(reason="unsafe_path", detail=fault)
        content = _read(full, limits)
    except OSError as error:
        if error.errno not in _REFUSALS:
            raise
        return Probe(reason="unreadable", detail=os.strerror(error.errno or 0))
    if isinstance(content, Probe):
        return content
    return _probe_bytes(content, limits, Path(path).suffix.lower())


def _read(path: Path, limits: Limits) -> bytes | Probe:
    # Without O_NONBLOCK the open of a FIFO, put there since the look, would wait for ever.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        return Probe(reason="unsafe_path", detail="no regular file")
    with os.fdopen(descriptor, "rb") as stream:
        if status.st_size <= limits.max_pixels * _BYTES_PER_PIXEL + _SLACK_BYTES:
            return stream.read()
    return Probe(
        id=sha256_file(path), reason="too_large", detail=f"a file of {status.st_size} bytes"
    )


def _probe_bytes(content: bytes, limits: Limits, extension: str) -> Probe:
    digest = hashlib.sha256(content).hexdigest()
    try:
        picture = open_picture(
            content,
            background=(0, 0, 0),
            max_pixels=limits.max_pixels,
            animated=limits.animated,
        )
    except UndecodableImage as error:
        return Probe(id=digest, reason=error.reason, detail=error.detail)
    return Probe(
        id=digest,
        width=picture.width,
        height=picture.height,
        mode=picture.source_mode,
        format=picture.format,
        pixel_hash=picture.pixel_hash,
        notes=(*picture.notes, *_notes(picture, extension)),
    )


def _notes(picture: Picture, extension: str) -> Iterator[str]:
    if _is_constant(picture.pixels):
        yield "constant"
    if picture.format not in _EXTENSIONS.get(extension, (picture.format,)):
        yield "other_extension"


def _is_constant(pixels: Pixels) -> bool:
    is_likely = (pixels[0] == pixels[0, 0]).all()  # spares most pictures the full comparison
    return bool(is_likely and (pixels == pixels[0, 0]).all())
