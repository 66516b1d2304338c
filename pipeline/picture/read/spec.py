"""What goes into the decoder, a spec, and what comes out of it, a picture or a refusal."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]
ResizeMode = Literal["squash", "crop", "center", "pad"]
Interpolation = Literal["bilinear", "bicubic", "lanczos"]

WHITE16 = 65535
"""The value that is white in 16 bits, where neither the file nor a person says otherwise."""

NOTES = {
    "alpha": "transparent parts lie on the background color",
    "alpha_hides": "over 99 % of its pixels are transparent, and show the background color",
    "alpha_ignored": "every pixel is transparent: its alpha says nothing, and the colors are shown",
    "animated": "the first of several frames or pages was taken",
    "clipped16": "16-bit values above `transform.white16`, which became white",
    "gray16_dark": "16-bit values that all lie below 16384: perhaps 10 to 14 bits in 16, whose "
    "white is not at 65535 (`transform.white16` says where)",
    "icc_converted": "converted from its embedded color profile to sRGB",
    "icc_ignored": "its embedded color profile could not be used",
    "metadata": "its metadata are damaged; the pixels are whole",
    "oriented": "turned or mirrored as its EXIF orientation says",
    "trailing_bytes": "there are other bytes after the end of the picture",
    "transparency_ignored": "16-bit gray with one transparent value, which is shown",
}
"""What may be noted of a picture that was decoded, and what each note means."""


@dataclass(frozen=True)
class DecodeSpec:
    """How a picture becomes a square tensor: all that `resize` depends on."""

    size_px: int
    resize: ResizeMode
    interpolation: Interpolation
    background: tuple[int, int, int]
    white16: int = WHITE16

    def side(self, width: int, height: int) -> int | None:
        """Return the side of the center square that is kept of a picture, pixels; None: all is.

        `center` keeps 7/8 of the shorter side, as weights for ImageNet are judged (of 256, 224).
        """
        shorter = min(width, height)
        return {"crop": shorter, "center": max(1, (7 * shorter + 4) // 8)}.get(self.resize)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON; the usual `white16` is left out."""
        values = {**asdict(self), "background": list(self.background)}
        if self.white16 == WHITE16:
            del values["white16"]
        return values

    def told(self) -> str:
        """Return in a few words what a picture becomes."""
        return f"{self.size_px} x {self.size_px} pixels, {self.resize}, {self.interpolation}"

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> "DecodeSpec":
        """Read what `to_dict` gave.

        Raises:
            KeyError, TypeError, ValueError: It is something else.
        """
        red, green, blue = (int(each) for each in value["background"])
        if value["resize"] not in get_args(ResizeMode):
            raise ValueError(f"unknown resize mode {value['resize']!r}")
        if value["interpolation"] not in ("bilinear", "bicubic", "lanczos"):
            raise ValueError(f"unknown interpolation {value['interpolation']!r}")
        return cls(
            int(value["size_px"]),
            value["resize"],
            value["interpolation"],
            (red, green, blue),
            int(value.get("white16", WHITE16)),
        )


def told(notes: Iterable[str], frames: int) -> tuple[str, ...]:
    """Write notes for people, each as `<code>: <meaning>`.

    Args:
        notes: Keys of `NOTES`.
        frames: Frames or pages in the file.
    """
    texts = NOTES | {"animated": f"the first of {frames} frames or pages was taken"}
    return tuple(f"{note}: {texts[note]}" for note in notes)


class UndecodableImage(ValueError):
    """Bytes that are not a usable picture.

    Args:
        reason: A code from `pipeline.manifest.manifest.REASONS`.
        detail: What was found, for people.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail

    def __reduce__(self) -> tuple[type["UndecodableImage"], tuple[str, str]]:
        return type(self), (self.reason, self.detail)


@dataclass(frozen=True)
class Picture:
    """A decoded picture in its own size.

    Attributes:
        pixels: uint8, HWC, RGB, after EXIF orientation.
        source_mode: Pillow's name of the pixel layout in the file, such as `L` or `I;16`.
        format: Pillow's name of the file format, such as `JPEG`.
        width: Pixels, after EXIF orientation.
        height: Pixels, after EXIF orientation.
        frames: Frames or pages in the file.
        pixel_hash: SHA-256, in hex, over mode, shape and pixels before the conversion to RGB, after
            EXIF orientation.
        notes: Keys of `NOTES`, sorted.
    """

    pixels: Pixels
    source_mode: str
    format: str
    width: int
    height: int
    frames: int
    pixel_hash: str
    notes: tuple[str, ...]
