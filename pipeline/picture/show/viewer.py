"""The Viewer of pictures: raw files as PNG or JPEG, and as tiles of a sheet."""

from pipeline.modality.types.protocols import View, ViewSize
from pipeline.picture.read.probe import Limits
from pipeline.picture.read.spec import Pixels, UndecodableImage
from pipeline.picture.read.thumbnail_match import INVERSE_TURNS
from pipeline.picture.show.preview import encode_jpeg, encode_png, shrink
from pipeline.picture.show.tile import picture_tile

_SIDES: dict[ViewSize, int] = {"thumb": 200, "view": 1400, "full": 1 << 30}
_MAX_BYTES: dict[ViewSize, int] = {"thumb": 20_000, "view": 1_500_000, "full": 24_000_000}
_LOSSLESS_PX = 640
"""Pictures up to this side are sent as they are, to the last bit."""

_REFUSED = {"too_small": "Too small", "aspect": "Too long and thin"}
_UNREAD = {
    "transparent": "Nothing to see",
    "truncated": "Cut off",
    "damaged": "Damaged",
    "not_image": "Not a picture",
    "format_not_allowed": "Kind not allowed",
    "unsupported_mode": "Colors not supported",
    "too_large": "Too large",
    "animated": "Several frames",
}


class PictureViewer:
    """Pictures behind the protocol `Viewer`."""

    inverse_turns = INVERSE_TURNS
    refused = _REFUSED
    unread = _UNREAD

    def tile(self, content: bytes | None, look: Limits, *, side_px: int) -> Pixels:
        """Return a picture as a tile of a sheet; gray where there is none."""
        return picture_tile(content, look, side_px=side_px)

    def view(self, content: bytes, look: Limits, size: ViewSize) -> View | str:
        """Return a picture as a PNG or JPEG file, or in words why there is none."""
        try:
            pixels = look.open(content).pixels
        except UndecodableImage as error:
            return f"{error.reason}: {error.detail}; the file has {len(content):,} bytes"
        small = shrink(pixels, _SIDES[size])
        if size != "thumb" and max(pixels.shape[:2]) <= _LOSSLESS_PX:
            return View(encode_png(small), "image/png")
        return View(encode_jpeg(small, _MAX_BYTES[size]), "image/jpeg")


VIEWER = PictureViewer()
