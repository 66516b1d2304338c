"""One look at one file: what it is, what its pixels hash to, or why it cannot be used.

It imports what that takes and no more: workers start sooner.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from pipeline.picture.files import FORMATS
from pipeline.picture.read.decode import open_picture
from pipeline.picture.read.limits import item_limits
from pipeline.picture.read.spec import NOTES as PICTURE_NOTES
from pipeline.picture.read.spec import Picture, Pixels, UndecodableImage
from pipeline.picture.read.thumbnail import thumbnail
from pipeline.raw.source import RawFault, read_raw
from pipeline.store.spill import Piece

NOTES = PICTURE_NOTES | {
    "constant": "all its pixels have one color, or nearly: black, white, or a placeholder",
    "other_extension": "its name promises another format",
}
"""What may be noted of a picture that is kept, and what each note means."""

_NEARLY = 8
"""Of 255: what the noise of a JPEG adds to one color."""

ALARMS = frozenset({"alpha_hides", "alpha_ignored", "clipped16", "constant", "gray16_dark"})
"""Notes on pictures that may hold nothing, or not what they seem."""

EXTENSION_NOTE = "other_extension"
"""The one note that depends on more than the bytes of a file."""


@dataclass(frozen=True)
class Limits:
    """What decides whether a file is decoded at all."""

    max_pixels: int
    animated: Literal["first", "reject"]

    def open(self, content: bytes) -> Picture:
        """Decode a file in full, on black where it is transparent.

        Raises:
            UndecodableImage: As `open_picture`.
        """
        return open_picture(
            content, background=(0, 0, 0), max_pixels=self.max_pixels, animated=self.animated
        )


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
    thumbnail: Piece | None = None
    """Small, gray: uint8 [`thumbnail.SIDE_PX`, `thumbnail.SIDE_PX`]."""
    reason: str | None = None
    detail: str = ""
    notes: tuple[str, ...] = ()


def probe_file(raw: Path, limits: Limits, path: str) -> Probe:
    """Read one file once and decode it in full; a bad file is an answer, not an error.

    Args:
        raw: The data folder; a link that leaves it is not followed.
        limits: What is not decoded.
        path: Relative to `raw`.

    Raises:
        DataError: The archive that holds it is cut or corrupt.
        OSError: The machine fails (no memory, too many open files), which says nothing of the file.
    """
    try:
        content = read_raw(raw, path, item_limits(limits.max_pixels).bytes)
    except RawFault as fault:
        return Probe(id=fault.sha256, reason=fault.reason, detail=fault.detail)
    return _probe_bytes(content, limits, Path(path).suffix.lower())


def named(probe: Probe, path: str) -> Probe:
    """Return the same probe for a file of this name: its extension may promise something else."""
    notes = tuple(note for note in probe.notes if note != EXTENSION_NOTE)
    if probe.reason is None and _is_misnamed(probe.format, Path(path).suffix.lower()):
        notes = (*notes, EXTENSION_NOTE)
    return replace(probe, notes=notes)


def _probe_bytes(content: bytes, limits: Limits, extension: str) -> Probe:
    digest = hashlib.sha256(content).hexdigest()
    try:
        picture = limits.open(content)
    except UndecodableImage as error:
        return Probe(id=digest, reason=error.reason, detail=error.detail)
    return Probe(
        id=digest,
        width=picture.width,
        height=picture.height,
        mode=picture.source_mode,
        format=picture.format,
        pixel_hash=picture.pixel_hash,
        thumbnail=thumbnail(picture.pixels).tobytes(),
        notes=(*picture.notes, *_notes(picture, extension)),
    )


def _notes(picture: Picture, extension: str) -> Iterator[str]:
    # Left dark, 4096 values are 16: few levels then are no sign of one color.
    if _is_constant(picture.pixels, 0 if "gray16_dark" in picture.notes else _NEARLY):
        yield "constant"
    if _is_misnamed(picture.format, extension):
        yield EXTENSION_NOTE


def _is_misnamed(kind: str | None, extension: str) -> bool:
    return kind not in FORMATS.get(extension, (kind,))


def _is_constant(pixels: Pixels, nearly: int) -> bool:
    """Return whether no channel has two values further apart; uint8 [H, W, 3]."""
    row = pixels[0]  # spares most pictures the full comparison
    return all(
        int(part.max()) - int(part.min()) <= nearly
        for values in (row, pixels)
        for part in (values[..., channel] for channel in range(3))
    )
