"""The Input of pictures: files of any format that is decoded, as bytes, or as text in base64."""

import random
import struct
import zlib
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, get_args

from pipeline.ground.limits import ItemLimits
from pipeline.modality.types.items import Encoded, Explanation
from pipeline.picture.files import FILES
from pipeline.picture.read import text_form
from pipeline.picture.read.decode import decode_noted
from pipeline.picture.read.limits import MAX_PIXELS, SECONDS, item_limits
from pipeline.picture.read.spec import DecodeSpec, ResizeMode, UndecodableImage

_SIDE = 96
"""Of samples, in pixels."""

_BASE64 = {"type": "string"}


class PictureInput:
    """Pictures behind the protocol `Input`."""

    one, many = FILES.NOUN
    column, key, media = "image", "images", "image"
    is_text = False
    written = (
        "An encoded picture in base64, with or without line ends and padding, of either alphabet, "
        "or as a `data:` URL. Addresses are not fetched."
    )
    inline = """"'$(base64 < cell.png)'\""""
    fields = frozenset({"image", "images", "images[]", "picture"})
    holders = (
        "b64",
        "image",
        "image_bytes",
        "image_base64",
        "base64",
        "image_url",
        "url",
        "file",
        "picture",
        "content",
        "data",
        "bytes",
    )
    examples = ("cell.png", "other.png")
    page: str | None = "picture/show/page.html"
    size, most, seconds = "max_pixels", MAX_PIXELS, SECONDS
    facts: Mapping[str, Any] = MappingProxyType(
        {"size_px": {"type": "integer", "description": "Side of the square that pictures become."}}
    )
    explanation = Explanation(
        "Show where in a picture its class is seen.",
        "The prediction with its map (Grad-CAM).",
        {
            "heatmap_png": {
                **_BASE64,
                "description": "RGBA, in base64: lies over the square that the model sees.",
            },
            "seen_jpeg": {**_BASE64, "description": "That square, in base64."},
            "resize": {
                "enum": list(get_args(ResizeMode)),
                "description": "How the picture became that square.",
            },
            "method": {"type": "string", "description": "How it was found, such as Grad-CAM."},
        },
    )

    def limits(self, most: int, seconds: float) -> ItemLimits:
        """Return what a picture may take that has at most so many pixels."""
        return item_limits(most, seconds)

    def from_text(self, text: str) -> bytes:
        """Return the picture that a text stands for."""
        return text_form.from_text(text)

    def from_bytes(self, content: bytes) -> bytes:
        """Return the picture that bytes hold as text; bytes that hold none, as they are."""
        return text_form.from_bytes(content)

    def encode(self, content: Any, spec: DecodeSpec, *, most: int = MAX_PIXELS) -> Encoded | str:
        """Decode a picture, or say `<reason>: <detail>`: uint8 [3, size, size]."""
        if not isinstance(content, bytes):
            return f"not_bytes: the cell holds {type(content).__name__}"
        try:
            return Encoded(*decode_noted(content, spec, max_pixels=most))
        except UndecodableImage as error:
            return f"{error.reason}: {error.detail}"

    def row_facts(self, spec: Mapping[str, Any]) -> dict[str, Any]:
        """Return the side of the square that a picture becomes."""
        return {"size_px": spec["size_px"]}

    def samples(self, count: int) -> list[bytes]:
        """Return PNG files of gray noise, the same ones every time."""
        return [_png(random.Random(number).randbytes(_SIDE * _SIDE)) for number in range(count)]


def _png(pixels: bytes) -> bytes:
    lines = b"".join(b"\0" + pixels[at : at + _SIDE] for at in range(0, len(pixels), _SIDE))
    header = struct.pack(">IIBBBBB", _SIDE, _SIDE, 8, 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(lines)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, content) for kind, content in chunks)


def _chunk(kind: bytes, content: bytes) -> bytes:
    checksum = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)


INPUT = PictureInput()
