"""The one decoder: encoded bytes to RGB uint8, for `transform` and for prediction alike.

Pillow is used here and nowhere else. What it would do silently is done openly or refused: 16-bit
gray is scaled and not clipped, float pixels are refused, transparency lies on a background, EXIF
orientation comes first, and a picture that failed to load is never used.

Axes: H = height, W = width, C = the channels red, green, blue.
"""

import hashlib
import struct
import threading
import warnings
import zlib
from collections.abc import Mapping
from functools import lru_cache
from io import BytesIO
from typing import Any, Literal

import numpy as np
import PIL
from PIL import Image, ImageCms

from pipeline.data.picture import NOTES as NOTES
from pipeline.data.picture import DecodeSpec as DecodeSpec
from pipeline.data.picture import Picture as Picture
from pipeline.data.picture import Pixels as Pixels
from pipeline.data.picture import UndecodableImage as UndecodableImage
from pipeline.data.sniff import HEAD_BYTES, find_png_damage, picture_format, sniff_picture
from pipeline.data.sniff import sniff as sniff

MAX_PIXELS = 178_956_970
"""Largest picture that Pillow agrees to open; what `decode` accepts unless told otherwise."""

VERSIONS = {"Pillow": PIL.__version__, "numpy": np.__version__}
"""Packages that decide the bits of a picture."""

_ERRORS = (
    OSError, SyntaxError, ValueError, TypeError, AttributeError, LookupError, ArithmeticError,
    RuntimeError, EOFError, struct.error, zlib.error, Image.DecompressionBombError,
)  # fmt: skip
"""What Pillow's readers raise on hostile bytes, as seen in fuzzing and in their source."""

_INTERPOLATIONS = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr")
_GRAY16 = ("I;16", "I;16L", "I;16B", "I;16N")
_EXIF_ORIENTATION = 0x0112
_TIFF_NEW_SUBFILE_TYPE, _TIFF_BITS, _TIFF_TILE_WIDTH, _TIFF_TILE_HEIGHT = 254, 258, 322, 323
_TIFF_DNG_VERSION = 50706

_WARNINGS_LOCK = threading.Lock()
"""`warnings.catch_warnings` is not thread-safe before Python 3.14, and servers have threads."""


def open_picture(
    raw: bytes,
    *,
    background: tuple[int, int, int],
    max_pixels: int,
    animated: Literal["first", "reject"],
) -> Picture:
    """Decode a file in full.

    Args:
        raw: The whole file.
        background: Color under transparent parts.
        max_pixels: Larger pictures are refused by their header, before anything is decoded.
        animated: Take the first frame of several, and note it, or refuse.

    Raises:
        UndecodableImage: The bytes are no picture, damaged, cut off, too large, or of a kind that
            cannot be shown faithfully in 8 bits.
    """
    notes: set[str] = set()
    image, frames = _load(raw, max_pixels, notes)
    if frames > 1 and animated == "reject":
        raise UndecodableImage("animated", f"it has {frames} frames or pages")
    source_mode, kind = image.mode, str(image.format)
    image = _orient(image, notes)
    digest = _hash_pixels(image)
    pixels = np.array(_convert(_flatten(image, background, notes), "RGB"))
    return Picture(
        pixels=pixels,
        source_mode=source_mode,
        format=kind,
        width=image.width,
        height=image.height,
        frames=frames,
        pixel_hash=digest,
        notes=tuple(sorted(notes)),
    )


def decode(raw: bytes, spec: DecodeSpec, *, max_pixels: int = MAX_PIXELS) -> Pixels:
    """Decode a file and bring it to the size of a spec; of several frames, the first.

    Equal to `resize(open_picture(raw, ...).pixels, spec)` to the bit, and cheaper for gray
    pictures, which stay one channel until the end.

    Returns:
        uint8, CHW, contiguous.

    Raises:
        UndecodableImage: As `open_picture`.
    """
    notes: set[str] = set()
    image, _ = _load(raw, max_pixels, notes)
    return _to_planes(_fit(_flatten(_orient(image, notes), spec.background, notes), spec))


def resize(pixels: Pixels, spec: DecodeSpec) -> Pixels:
    """Bring a decoded picture to the size of a spec, with antialiasing.

    Args:
        pixels: uint8, HWC, RGB.
        spec: Its `background` fills what `pad` adds.

    Returns:
        uint8, CHW, contiguous.
    """
    return _to_planes(_fit(Image.fromarray(pixels), spec))


def _load(raw: bytes, max_pixels: int, notes: set[str]) -> tuple[Image.Image, int]:
    """Open and decode the first frame in full; give it and the number of frames."""
    if not raw:
        raise UndecodableImage("empty", "the file has no bytes")
    head = raw[:HEAD_BYTES]
    kind = picture_format(head)
    if kind is None:
        reason = "format_not_allowed" if sniff_picture(head) else "not_image"
        raise UndecodableImage(reason, f"it is {sniff(head) or 'of no known picture format'}")
    with _WARNINGS_LOCK, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        image = _open_header(raw, kind)
        _check_header(image, max_pixels)
        if kind == "PNG" and (damage := find_png_damage(raw)):
            raise UndecodableImage(*damage)
        frames = _count_frames(image)
        _load_pixels(image)
    if any(not issubclass(each.category, Image.DecompressionBombWarning) for each in caught):
        notes.add("metadata")
    if frames > 1:
        notes.add("animated")
    if _has_trailing_bytes(raw, kind):
        notes.add("trailing_bytes")
    return image, frames


def _open_header(raw: bytes, kind: str) -> Image.Image:
    try:
        return Image.open(BytesIO(raw), formats=(kind,))
    except Image.DecompressionBombError as error:
        raise UndecodableImage("too_large", f"over {MAX_PIXELS} pixels") from error
    except _ERRORS as error:
        if what := sniff(raw[:HEAD_BYTES]):
            raise UndecodableImage("not_image", f"it is {what}") from error
        raise _explain(_ask_reader(raw, kind), "header") from error


def _ask_reader(raw: bytes, kind: str) -> str:
    """Say what the reader says: Pillow's search for formats hides it, and names an address."""
    try:
        Image.OPEN[kind][0](BytesIO(raw), "")
    except _ERRORS as error:
        return str(error)
    return "no reader for it"


def _explain(text: str, part: str) -> UndecodableImage:
    lowered = text.lower()
    if any(each in lowered for each in ("pixel mode", "unsupported", "unknown photometric")):
        return UndecodableImage("unsupported_mode", text)
    is_cut = any(each in lowered for each in ("truncated", "unexpected end", "eof"))
    return UndecodableImage("truncated" if is_cut else "damaged", f"in its {part}: {text}")


def _check_header(image: Image.Image, max_pixels: int) -> None:
    """Refuse by what the header says, before any pixel is decoded."""
    width, height = image.size
    if width < 1 or height < 1:
        raise UndecodableImage("damaged", f"its header says {width} x {height} pixels")
    if width * height > max_pixels:
        raise UndecodableImage("too_large", f"{width} x {height} pixels, over {max_pixels}")
    if image.mode not in (*_MODES, *_GRAY16):
        raise UndecodableImage(
            "unsupported_mode",
            f"pixels of mode {image.mode!r} have no fixed range; save 8 or 16 bits",
        )
    if image.format == "TIFF":
        _check_tiff(getattr(image, "tag_v2"), max_pixels)  # noqa: B009


def _check_tiff(tags: Mapping[int, Any], max_pixels: int) -> None:
    if tags.get(_TIFF_DNG_VERSION) or tags.get(_TIFF_NEW_SUBFILE_TYPE, 0) & 1:
        raise UndecodableImage("format_not_allowed", "it is a camera's raw file with a preview")
    tile = int(tags.get(_TIFF_TILE_WIDTH, 1)) * int(tags.get(_TIFF_TILE_HEIGHT, 1))
    if tile > max_pixels:
        raise UndecodableImage("too_large", f"tiles of {tile} pixels, over {max_pixels}")


def _count_frames(image: Image.Image) -> int:
    # The further pictures of an MPO (a phone's JPEG) are previews, depth and gain maps.
    if image.format == "MPO":
        return 1
    try:
        is_animated = getattr(image, "is_animated", False)
        return int(getattr(image, "n_frames", 1)) if is_animated else 1
    except _ERRORS as error:
        raise _explain(str(error), "frames") from error


def _load_pixels(image: Image.Image) -> None:
    try:
        image.load()
    except Image.DecompressionBombError as error:
        raise UndecodableImage("too_large", str(error)) from error
    except _ERRORS as error:
        raise _explain(str(error), "pixels") from error


def _has_trailing_bytes(raw: bytes, kind: str) -> bool:
    if kind == "JPEG":
        return not raw.rstrip(b"\0").endswith(b"\xff\xd9")
    return kind == "PNG" and not raw.endswith(b"IEND\xae\x42\x60\x82")


def _orient(image: Image.Image, notes: set[str]) -> Image.Image:
    """Apply the EXIF orientation. Pillow has done so already for TIFF and AVIF."""
    with _WARNINGS_LOCK, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            orientation = image.getexif().get(_EXIF_ORIENTATION, 1)
        except _ERRORS:
            notes.add("metadata")
            return image
    if caught:
        notes.add("metadata")
    if orientation not in _TURNS:
        return image
    notes.add("oriented")
    return image.transpose(_TURNS[orientation])


def _hash_pixels(image: Image.Image) -> str:
    """Hash the picture as it is in the file; for a palette, with its colors."""
    digest = hashlib.sha256(f"{image.mode} {image.width} {image.height}\n".encode())
    digest.update(repr(image.info.get("transparency")).encode())
    if image.palette is not None:
        digest.update(bytes(image.getpalette(image.palette.mode) or ()))
    digest.update(image.tobytes())
    return digest.hexdigest()


def _flatten(image: Image.Image, background: tuple[int, int, int], notes: set[str]) -> Image.Image:
    """Bring any mode to `L` (gray without transparency) or `RGB`."""
    if image.mode in _GRAY16:
        return _scale_gray16(image, notes)
    if image.has_transparency_data:
        image = image.convert("RGBA")
    elif image.mode in ("1", "L"):
        return _convert(image, "L")
    elif image.mode != "CMYK":
        image = _convert(image, "RGB")
    if isinstance(profile := image.info.get("icc_profile"), bytes):
        image = _to_srgb(image, profile, notes)
    return _composite(image, background, notes) if image.mode == "RGBA" else _convert(image, "RGB")


def _convert(image: Image.Image, mode: str) -> Image.Image:
    """Convert; a picture that has the mode is given back, where Pillow would copy it."""
    return image if image.mode == mode else image.convert(mode)


def _scale_gray16(image: Image.Image, notes: set[str]) -> Image.Image:
    """Scale 0..65535 to 0..255 with rounding; a TIFF of 12 bits by its own range."""
    if "transparency" in image.info:
        notes.add("transparency_ignored")
    values = np.asarray(image).astype(np.uint32)
    bits = getattr(image, "tag_v2", {}).get(_TIFF_BITS, (16,))
    top = 4095 if tuple(bits) == (12,) else 65535
    if top == 65535 and 0 < values.max() < 4096:
        notes.add("gray16_dark")
    return Image.fromarray(((values * 255 + top // 2) // top).astype(np.uint8))


def _composite(
    image: Image.Image, background: tuple[int, int, int], notes: set[str]
) -> Image.Image:
    if image.getchannel("A").getextrema() == (255, 255):
        return image.convert("RGB")
    notes.add("alpha")
    below = Image.new("RGBA", image.size, (*background, 255))
    below.alpha_composite(image)
    return below.convert("RGB")


def _to_srgb(image: Image.Image, profile: bytes, notes: set[str]) -> Image.Image:
    transform = _srgb_transform(profile, image.mode)
    if isinstance(transform, ImageCms.ImageCmsTransform):
        converted = transform.apply(image)
        notes.add("icc_converted")
        return converted
    if transform == "unusable":
        notes.add("icc_ignored")
    return image


@lru_cache(maxsize=16)
def _srgb_transform(
    profile: bytes, mode: str
) -> ImageCms.ImageCmsTransform | Literal["needless", "unusable"]:
    try:
        source = ImageCms.ImageCmsProfile(BytesIO(profile))
        if (source.profile.profile_description or "").startswith("sRGB"):
            return "needless"
        target = ImageCms.createProfile("sRGB")
        out_mode = "RGBA" if mode == "RGBA" else "RGB"
        return ImageCms.buildTransform(source, target, mode, out_mode)
    except (ImageCms.PyCMSError, *_ERRORS):
        return "unusable"


def _fit(image: Image.Image, spec: DecodeSpec) -> Image.Image:
    """Resize an `L` or `RGB` picture to the square of the spec."""
    if spec.resize == "pad":
        return _pad(image, spec)
    if spec.resize == "crop" and image.width != image.height:
        # Not `resize(box=...)`: its filter reads pixels on the other side of the border.
        side = min(image.size)
        left, top = (image.width - side) // 2, (image.height - side) // 2
        image = image.crop((left, top, left + side, top + side))
    return image.resize((spec.size_px, spec.size_px), _INTERPOLATIONS[spec.interpolation])


def _pad(image: Image.Image, spec: DecodeSpec) -> Image.Image:
    side, longest = spec.size_px, max(image.size)
    width, height = (max(1, (2 * each * side + longest) // (2 * longest)) for each in image.size)
    small = image.resize((width, height), _INTERPOLATIONS[spec.interpolation])
    canvas = Image.new("RGB", (side, side), spec.background)
    canvas.paste(_convert(small, "RGB"), ((side - width) // 2, (side - height) // 2))
    return canvas


def _to_planes(image: Image.Image) -> Pixels:
    pixels = np.asarray(image)
    if pixels.ndim == 2:
        return np.repeat(pixels[np.newaxis], 3, axis=0)
    return np.ascontiguousarray(pixels.transpose(2, 0, 1))
