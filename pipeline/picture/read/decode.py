"""The one decoder: encoded bytes to RGB uint8, for `transform` and for prediction alike.

Pillow is used here, and in `tiff` and `deep` for this module. What it would do silently is done
openly or refused: 16-bit gray is scaled and not clipped, float pixels are refused, transparency
lies on a background, EXIF orientation comes first, and a picture that failed to load is never used.

Axes: H = height, W = width, C = the channels red, green, blue.
"""

import hashlib
import re
import struct
import threading
import warnings
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from io import BytesIO
from typing import Literal

import numpy as np
import PIL
from PIL import Image, ImageCms

from pipeline.picture.files import (
    find_png_damage,
    picture_format,
    png_significant_bits,
    unread_format,
)
from pipeline.picture.read import deep, tiff
from pipeline.picture.read.limits import MAX_PIXELS as MAX_PIXELS
from pipeline.picture.read.spec import NOTES as NOTES
from pipeline.picture.read.spec import WHITE16, told
from pipeline.picture.read.spec import DecodeSpec as DecodeSpec
from pipeline.picture.read.spec import Picture as Picture
from pipeline.picture.read.spec import Pixels as Pixels
from pipeline.picture.read.spec import UndecodableImage as UndecodableImage
from pipeline.raw.sniff import HEAD_BYTES
from pipeline.raw.sniff import sniff as sniff

VERSIONS = {"Pillow": PIL.__version__, "numpy": np.__version__}
"""Packages that decide the bits of a picture."""

READER_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    AttributeError,
    LookupError,
    ArithmeticError,
    RuntimeError,
    EOFError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)
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
_MODES = ("1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr")
_NO_RANGE = {
    "F": "floating-point values have no agreed range; scale them and save 8 or unsigned 16 bits",
    "I": "32-bit values have no agreed range; scale them and save 8 or unsigned 16 bits",
    "LAB": "LAB colors; save RGB",
}
"""What is said of pixels that cannot be shown faithfully, by Pillow's mode."""

_EXIF_ORIENTATION = 0x0112
_WARNINGS_LOCK = threading.Lock()
"""`warnings.catch_warnings` is not thread-safe before Python 3.14, and servers have threads."""

_RAISE = " (`clean.max_pixels`, or --max-pixels, sets how many may be)"

_QUOTED = re.compile(
    r"(?<=Token too long)(.*)|(?<=[Ii]nvalid token)(.*)|(?<=Non-decimal-ASCII)(.*)|:? ?b(['\"]).*\4"
)
"""Bytes of the file in what a reader says: they may be a comment, and name a person."""

_CUT = ("truncated", "unexpected end", "eof", "not enough image data")
"""What readers say of a file that ends too early."""

_HIDES = 3
"""Alpha, of 255, that leaves nothing to be seen where no pixel has more."""

_HIDES_NEARLY = 0.99
"""Share of transparent pixels above which it is noted."""


def open_picture(
    raw: bytes,
    *,
    background: tuple[int, int, int],
    max_pixels: int,
    animated: Literal["first", "reject"],
    white16: int = WHITE16,
) -> Picture:
    """Decode a file in full.

    Args:
        raw: The whole file.
        background: Color under transparent parts.
        max_pixels: Larger pictures are refused by their header, before anything is decoded.
        animated: Take the first frame of several, and note it, or refuse.
        white16: The value that is white in 16 bits, where the file does not say so.

    Raises:
        UndecodableImage: The bytes are no picture, damaged, cut off, too large, or of a kind that
            cannot be shown faithfully in 8 bits.
    """
    notes: set[str] = set()
    found = _load(raw, max_pixels, white16, notes)
    if found.frames > 1 and animated == "reject":
        raise UndecodableImage("animated", f"it has {found.frames} frames or pages")
    loaded = _orient(found, notes)
    digest = _hash_pixels(loaded)
    pixels = np.array(_convert(_flatten(loaded, background, notes), "RGB"))
    return Picture(
        pixels=pixels,
        source_mode=found.mode,
        format=str(found.image.format),
        width=loaded.image.width,
        height=loaded.image.height,
        frames=found.frames,
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
    return decode_noted(raw, spec, max_pixels=max_pixels)[0]


def decode_each(raw: bytes, specs: Sequence[DecodeSpec]) -> list[Pixels]:
    """Decode a file once, and bring it to the size of each spec, as `decode` does.

    Args:
        raw: The whole file.
        specs: At least one; they differ in size, resize and interpolation alone.

    Raises:
        UndecodableImage: As `open_picture`.
    """
    shared = {(each.background, each.white16) for each in specs}
    if len(shared) != 1:
        raise ValueError("specs must have one background and one white16")
    notes: set[str] = set()
    found = _load(raw, MAX_PIXELS, specs[0].white16, notes)
    flat = _flatten(_orient(found, notes), specs[0].background, notes)
    return [_to_planes(_fit(flat, each)) for each in specs]


def decode_noted(
    raw: bytes, spec: DecodeSpec, *, max_pixels: int = MAX_PIXELS
) -> tuple[Pixels, tuple[str, ...]]:
    """Decode as `decode`, and return the notes too, each as `<code>: <meaning>`.

    Raises:
        UndecodableImage: As `open_picture`.
    """
    notes: set[str] = set()
    found = _load(raw, max_pixels, spec.white16, notes)
    planes = _to_planes(_fit(_flatten(_orient(found, notes), spec.background, notes), spec))
    return planes, told(sorted(notes), found.frames)


def read_orientation(raw: bytes) -> int:
    """Return the EXIF orientation that `open_picture` applies, 1..8; 1 where it applies none.

    Raises:
        UndecodableImage: As `open_picture`, as far as the header shows it.
    """
    with _WARNINGS_LOCK, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        image = _open_header(raw, str(picture_format(raw[:HEAD_BYTES])))
        try:
            orientation = image.getexif().get(_EXIF_ORIENTATION, 1)
        except READER_ERRORS:
            return 1
    return int(orientation) if orientation in _TURNS else 1


def resize(pixels: Pixels, spec: DecodeSpec) -> Pixels:
    """Bring a decoded picture to the size of a spec, with antialiasing.

    Args:
        pixels: uint8, HWC, RGB.
        spec: Its `background` fills what `pad` adds.

    Returns:
        uint8, CHW, contiguous.
    """
    return _to_planes(_fit(Image.fromarray(pixels), spec))


@dataclass(frozen=True)
class _Found:
    """A file whose pixels are in memory."""

    image: Image.Image
    """As Pillow loaded it, with its metadata."""
    mode: str
    """Pillow's name of the layout in the file."""
    loaded: deep.Loaded
    frames: int


def _load(raw: bytes, max_pixels: int, white16: int, notes: set[str]) -> _Found:
    """Open and decode the first frame in full."""
    if not raw:
        raise UndecodableImage("empty", "the file has no bytes")
    head = raw[:HEAD_BYTES]
    kind = picture_format(head)
    if kind is None:
        reason = "format_not_allowed" if unread_format(head) else "not_image"
        raise UndecodableImage(reason, f"it is {sniff(head) or 'of no known picture format'}")
    with _WARNINGS_LOCK, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        image = _open_header(raw, kind)
        frames = _count_frames(image)
        _check_header(image, max_pixels)
        if kind == "PNG" and (damage := find_png_damage(raw)):
            raise UndecodableImage(*damage)
        loaded, mode = _load_values(image, raw, white16, notes)
    if any(not issubclass(each.category, Image.DecompressionBombWarning) for each in caught):
        notes.add("metadata")
    if frames > 1:
        notes.add("animated")
    if _has_trailing_bytes(raw, kind):
        notes.add("trailing_bytes")
    return _Found(image, mode, loaded, frames)


def _open_header(raw: bytes, kind: str) -> Image.Image:
    try:
        return Image.open(BytesIO(raw), formats=(kind,))
    except Image.DecompressionBombError as error:
        raise UndecodableImage(
            "too_large", f"over {MAX_PIXELS} pixels, the most there may be"
        ) from error
    except READER_ERRORS as error:
        if kind == "TIFF" and "pixel mode" in (text := _ask_reader(raw, kind)):
            raise UndecodableImage("unsupported_mode", _describe_tiff(raw) or text) from error
        if what := sniff(raw[:HEAD_BYTES]):
            raise UndecodableImage("not_image", f"it is {what}") from error
        raise _explain(_ask_reader(raw, kind), "header") from error


def _ask_reader(raw: bytes, kind: str) -> str:
    """Return what the reader says: Pillow's search for formats hides it, and names an address."""
    try:
        Image.OPEN[kind][0](BytesIO(raw), "")
    except READER_ERRORS as error:
        return _QUOTED.sub("", str(error))
    return "no reader for it"


def _explain(text: str, part: str) -> UndecodableImage:
    text = _QUOTED.sub("", text)
    lowered = text.lower()
    if any(each in lowered for each in ("pixel mode", "unsupported", "unknown photometric")):
        return UndecodableImage("unsupported_mode", text)
    is_cut = any(each in lowered for each in _CUT)
    return UndecodableImage("truncated" if is_cut else "damaged", f"in its {part}: {text}")


def _describe_tiff(raw: bytes) -> str | None:
    try:
        return tiff.describe_layout(raw)
    except READER_ERRORS:
        return None


def _check_header(image: Image.Image, max_pixels: int) -> None:
    """Refuse by what the header says, before any pixel is decoded."""
    width, height = image.size
    if width < 1 or height < 1:
        raise UndecodableImage("damaged", f"its header says {width} x {height} pixels")
    if width * height > max_pixels:
        raise UndecodableImage("too_large", f"{width} x {height} pixels, over {max_pixels}{_RAISE}")
    if image.format == "TIFF":
        tiff.check_page(image, max_pixels)
    if image.format == "PPM" and image.mode == "I":  # gray, of as many bits as its maxval needs
        return
    if image.mode not in (*_MODES, *deep.GRAY16):
        what = _NO_RANGE.get(image.mode, f"pixels of mode {image.mode!r}; save 8 or 16 bits")
        raise UndecodableImage("unsupported_mode", what)


def _count_frames(image: Image.Image) -> int:
    """Count the frames or pages; of a TIFF, seek the first that is no thumbnail."""
    # The further pictures of an MPO (a phone's JPEG) are previews, depth and gain maps.
    if image.format == "MPO":
        return 1
    try:
        if image.format == "TIFF":
            return tiff.seek_main_page(image)
        is_animated = getattr(image, "is_animated", False)
        return int(getattr(image, "n_frames", 1)) if is_animated else 1
    except READER_ERRORS as error:
        raise _explain(str(error), "frames") from error


def _load_values(
    image: Image.Image, raw: bytes, white16: int, notes: set[str]
) -> tuple[deep.Loaded, str]:
    """Decode the pixels; return them, and Pillow's name of their layout."""
    try:
        if layout := tiff.packed_bits(image):
            return _load_packed(image, raw, *layout), "I;16" if layout[1] == 1 else "RGB"
        tiff.mend_planes(image)
        said_top = _said_top(image, raw)
        raw_mode, mode = tiff.raw_mode_of(image), image.mode
        image.load()
        source = deep.Source(raw_mode, said_top, white16, partial(_load_as, image, raw))
        loaded = deep.settle(image, source, notes)
        loaded.image.info = image.info
        return loaded, mode if mode in deep.GRAY16 else loaded.image.mode
    except Image.DecompressionBombError as error:
        raise UndecodableImage("too_large", str(error)) from error
    except READER_ERRORS as error:
        if isinstance(error, UndecodableImage):
            raise
        raise _explain(str(error), "pixels") from error


def _said_top(image: Image.Image, raw: bytes) -> int | None:
    """Return the largest value that a sample can have by the file's own word, if it says so."""
    if image.format == "TIFF":
        return tiff.top_of(image)
    if image.format == "PNG":
        bits = png_significant_bits(raw)
        return (1 << bits) - 1 if bits is not None and 8 < bits < 16 else None
    return _read_unscaled(image) if image.format == "PPM" and image.mode == "I" else None


def _read_unscaled(image: Image.Image) -> int:
    """Make Pillow hand on the values of a PGM of 16 bits as they are; return their maxval."""
    (tile,) = image.tile  # type: ignore[attr-defined]
    if tile.codec_name == "ppm_plain":
        image.tile = [tile._replace(args=(tile.args[0], WHITE16))]  # type: ignore[attr-defined]
        return int(tile.args[1])
    image.tile = [tile._replace(codec_name="raw", args="I;16B")]  # type: ignore[attr-defined]
    return int(tile.args[1]) if tile.codec_name == "ppm" else WHITE16


def _load_as(opened: Image.Image, raw: bytes, mode: str, raw_mode: str) -> Image.Image:
    """Load the same page anew, as if its samples had another layout."""
    image = Image.open(BytesIO(raw), formats=(str(opened.format),))
    if image.format == "TIFF":
        image.seek(opened.tell())
        tiff.mend_planes(image)
    image._mode = mode
    tiff.set_raw_mode(image, raw_mode)
    image.load()
    return image


def _load_packed(image: Image.Image, raw: bytes, bits: int, channels: int) -> deep.Loaded:
    content = tiff.as_single_bits(image, raw, bits * channels)
    wide = Image.open(BytesIO(content), formats=("TIFF",))
    wide.seek(image.tell())
    wide.load()
    values = deep.unpack_bits(wide, bits, channels)
    return deep.settle_packed(values, is_negative=tiff.is_negative(image), bits=bits)


def _has_trailing_bytes(raw: bytes, kind: str) -> bool:
    if kind == "JPEG":
        return not raw.rstrip(b"\0").endswith(b"\xff\xd9")
    return kind == "PNG" and not raw.endswith(b"IEND\xae\x42\x60\x82")


def _orient(found: _Found, notes: set[str]) -> deep.Loaded:
    """Apply the EXIF orientation. Pillow has done so already for AVIF and TIFF, but packed ones."""
    with _WARNINGS_LOCK, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            orientation = found.image.getexif().get(_EXIF_ORIENTATION, 1)
        except READER_ERRORS:
            notes.add("metadata")
            return found.loaded
    if caught:
        notes.add("metadata")
    if orientation not in _TURNS:
        return found.loaded
    notes.add("oriented")
    return found.loaded.map(lambda each: each.transpose(_TURNS[orientation]))


def _hash_pixels(loaded: deep.Loaded) -> str:
    """Hash the picture as it is in the file; for a palette, with its colors."""
    image = loaded.image
    digest = hashlib.sha256(f"{image.mode} {image.width} {image.height}\n".encode())
    digest.update(repr(image.info.get("transparency")).encode())
    if image.palette is not None:
        digest.update(bytes(image.getpalette(image.palette.mode) or ()))
    digest.update(image.tobytes())
    if loaded.low is not None:
        digest.update(loaded.low.tobytes())
    return digest.hexdigest()


def _flatten(loaded: deep.Loaded, background: tuple[int, int, int], notes: set[str]) -> Image.Image:
    """Bring any mode to `L` (gray without transparency) or `RGB`."""
    image = loaded.to_8_bits()
    if loaded.image.mode in deep.GRAY16:
        if "transparency" in loaded.image.info:
            notes.add("transparency_ignored")
        return image
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


def _composite(
    image: Image.Image, background: tuple[int, int, int], notes: set[str]
) -> Image.Image:
    """Lay a picture on the background; transparency that hides all of it is not believed.

    Raises:
        UndecodableImage: It is wholly transparent, and what is beneath has one color.
    """
    alpha = image.getchannel("A")
    lowest, highest = deep.extremes(alpha)
    if lowest == 255:
        return image.convert("RGB")
    if highest <= _HIDES:
        beneath = image.convert("RGB")
        if all(low == high for low, high in map(deep.extremes, beneath.split())):
            raise UndecodableImage("transparent", "nothing is to be seen: all its pixels are so")
        notes.add("alpha_ignored")
        return beneath
    notes.add("alpha")
    if alpha.histogram()[0] > _HIDES_NEARLY * image.width * image.height:
        notes.add("alpha_hides")
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
    except (ImageCms.PyCMSError, *READER_ERRORS):
        return "unusable"


def _fit(image: Image.Image, spec: DecodeSpec) -> Image.Image:
    """Resize an `L` or `RGB` picture to the square of the spec."""
    if spec.resize == "pad":
        return _pad(image, spec)
    side = spec.side(*image.size)
    if side is not None and image.size != (side, side):
        # Not `resize(box=...)`: its filter reads pixels on the other side of the border.
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
