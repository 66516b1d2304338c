"""One look at one picture: what it is, what its pixels hash to, or why it cannot be used.

It imports what that takes and no more: workers start sooner.
"""

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from pipeline.ground.limits import ItemLimits
from pipeline.modality.types.probe import Probe
from pipeline.picture.files import FORMATS
from pipeline.picture.read.carried import find_carried, shows_more
from pipeline.picture.read.decode import open_picture
from pipeline.picture.read.limits import item_limits
from pipeline.picture.read.spec import NOTES as PICTURE_NOTES
from pipeline.picture.read.spec import Picture, Pixels, UndecodableImage
from pipeline.picture.read.thumbnail import thumbnail

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
    """How files are looked at: what decides whether one is decoded at all."""

    max_pixels: int
    animated: Literal["first", "reject"]

    @property
    def limits(self) -> ItemLimits:
        """Return what one file may take."""
        return item_limits(self.max_pixels)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return asdict(self)

    def probe(self, content: bytes, path: str) -> Probe:
        """Decode a file in full; a bad one is an answer, not an error."""
        kinds, small = find_carried(content)
        try:
            picture = self.open(content)
        except UndecodableImage as error:
            return Probe(reason=error.reason, detail=error.detail, carries=_carries(kinds))
        if small and shows_more(small, picture.pixels):
            kinds |= {"shows_more"}
        return Probe(
            facts=(picture.width, picture.height, picture.source_mode, picture.format),
            content_hash=picture.pixel_hash,
            sketch=thumbnail(picture.pixels).tobytes(),
            notes=(*picture.notes, *_notes(picture, Path(path).suffix.lower())),
            carries=_carries(kinds),
        )

    def named(self, probe: Probe, path: str) -> Probe:
        """Return the same probe for a file of this name: it may promise another format."""
        notes = tuple(note for note in probe.notes if note != EXTENSION_NOTE)
        if probe.reason is None and _is_misnamed(str(probe.facts[3]), Path(path).suffix.lower()):
            notes = (*notes, EXTENSION_NOTE)
        return replace(probe, notes=notes)

    def open(self, content: bytes) -> Picture:
        """Decode a file in full, on black where it is transparent.

        Raises:
            UndecodableImage: As `open_picture`.
        """
        return open_picture(
            content, background=(0, 0, 0), max_pixels=self.max_pixels, animated=self.animated
        )


def _carries(kinds: Iterable[str]) -> tuple[tuple[str, int], ...]:
    return tuple((kind, 1) for kind in sorted(kinds))


def _notes(picture: Picture, extension: str) -> Iterator[str]:
    # Left dark, 4096 values are 16: few levels then are no sign of one color.
    if _is_constant(picture.pixels, 0 if "gray16_dark" in picture.notes else _NEARLY):
        yield "constant"
    if _is_misnamed(picture.format, extension):
        yield EXTENSION_NOTE


def _is_misnamed(kind: str, extension: str) -> bool:
    return kind not in FORMATS.get(extension, (kind,))


def _is_constant(pixels: Pixels, nearly: int) -> bool:
    """Return whether no channel has two values further apart; uint8 [H, W, 3]."""
    row = pixels[0]  # spares most pictures the full comparison
    return all(
        int(part.max()) - int(part.min()) <= nearly
        for values in (row, pixels)
        for part in (values[..., channel] for channel in range(3))
    )
