"""Which files are pictures, by their names and by their first bytes."""

import re
import zlib
from collections.abc import Mapping

from pipeline.raw.head_text import as_text, past_markup

FORMATS: Mapping[str, tuple[str, ...]] = {
    ".jpg": ("JPEG", "MPO"),
    ".jpeg": ("JPEG", "MPO"),
    ".jpe": ("JPEG", "MPO"),
    ".jfif": ("JPEG", "MPO"),
    ".png": ("PNG",),
    ".apng": ("PNG",),
    ".gif": ("GIF",),
    ".bmp": ("BMP",),
    ".dib": ("BMP",),
    ".tif": ("TIFF",),
    ".tiff": ("TIFF",),
    ".webp": ("WEBP",),
    ".avif": ("AVIF",),
    ".ppm": ("PPM",),
    ".pgm": ("PPM",),
    ".pbm": ("PPM",),
    ".pnm": ("PPM",),
}
"""Ends of the names of pictures that are read, and the formats that each promises."""

_UNREAD = (
    ".pam .heic .heif .hif .jp2 .j2k .jpf .jpx .jxl .jxr .svg .eps .ps .ai .pdf .psd .psb .xcf "
    ".ico .cur .icns .tga .pcx .dds .exr .hdr .wmf .emf .dng .cr2 .cr3 .nef .arw .orf .rw2 .raf "
    ".srw .pef .raw .dcm .dicom .fits .nii .djvu .mpo .qoi .sgi .xbm .xpm"
)
_JPEG, _PNG = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"
_RASTERS = (
    (_JPEG, "JPEG"),
    (_PNG, "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"BM", "BMP"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"II+\0", "TIFF"),
    (b"MM\0+", "TIFF"),
)
_NETPBM = re.compile(rb"P[1-6]\s+(#[^\r\n]*[\r\n]\s*)*\d")
"""How a PBM, PGM or PPM begins; comments may stand before the width."""

_TO_PNG = "convert it to PNG, as by `magick IN OUT.png`"
_RAW = "a camera's raw file (develop it to PNG or JPEG, as by `darktable-cli IN OUT.png`)"
_HEIC = "a HEIC picture (convert it to JPEG or PNG, as by `heif-convert IN OUT.png`)"
_OTHER_PICTURES = (
    (b"%!PS", "an EPS or PostScript file (draw it as PNG, as by `magick IN OUT.png`)"),
    (b"\xc5\xd0\xd3\xc6", "an EPS file (draw it as PNG, as by `magick IN OUT.png`)"),
    (b"%PDF", "a PDF (draw its pages as PNG, as by `pdftoppm -png IN OUT`)"),
    (b"\0\0\0\x0cjP  ", f"a JPEG 2000 picture ({_TO_PNG})"),
    (b"\xff\x4f\xff\x51", f"a JPEG 2000 picture ({_TO_PNG})"),
    (b"\0\0\0\x0cJXL ", f"a JPEG XL picture ({_TO_PNG})"),
    (b"\xff\x0a", f"a JPEG XL picture ({_TO_PNG})"),
    (b"II\xbc\x01", f"a JPEG XR picture ({_TO_PNG})"),
    (b"8BPS", f"a Photoshop file ({_TO_PNG})"),
    (b"gimp xcf", f"a GIMP file ({_TO_PNG})"),
    (b"\0\0\x01\0", f"an icon ({_TO_PNG})"),
    (b"\0\0\x02\0\x01", f"a cursor ({_TO_PNG})"),
    (b"icns", f"an icon ({_TO_PNG})"),
    (b"DDS ", f"a DDS texture ({_TO_PNG})"),
    (b"\x0a\x05\x01\x08", f"a PCX picture ({_TO_PNG})"),
    (b"qoif", f"a QOI picture ({_TO_PNG})"),
    (b"v/1\x01", f"an OpenEXR picture of floats ({_TO_PNG})"),
    (b"#?RADIANCE", f"a Radiance picture of floats ({_TO_PNG})"),
    (b"SIMPLE  =", "a FITS picture (scale it to 16 bits, and save it as PNG)"),
    (b"PF\n", "a PFM picture of floats (scale it to 16 bits, and save it as PNG)"),
    (b"Pf\n", "a PFM picture of floats (scale it to 16 bits, and save it as PNG)"),
    (b"P7\n", f"a PAM picture ({_TO_PNG})"),
    (b"\x59\xa6\x6a\x95", f"a Sun raster picture ({_TO_PNG})"),
    (b"\x01\xda\0\x01", f"an SGI picture ({_TO_PNG})"),
    (b"\x01\xda\x01\x01", f"an SGI picture ({_TO_PNG})"),
    (b"AT&TFORM", "a DjVu document (draw its pages as PNG, as by `ddjvu -format=tiff IN OUT`)"),
    (b"BA", f"an array of OS/2 bitmaps ({_TO_PNG})"),
    (b"II*\0\x10\0\0\0CR", _RAW),
    (b"IIU\0", _RAW),
    (b"IIRO", _RAW),
    (b"IIRS", _RAW),
    (b"MMOR", _RAW),
    (b"FUJIFILMCCD-RAW", _RAW),
    (b"FOVb", _RAW),
    (b"\0MRM", _RAW),
    (b"\xd7\xcd\xc6\x9a", f"a Windows metafile ({_TO_PNG})"),
)
_SVG = "an SVG drawing (draw it as PNG, as by `rsvg-convert IN -o OUT.png`)"
_AVIF_BRANDS = {b"avif", b"avis"}
_HEIC_BRANDS = set(b"heic heix heim heis hevc hevx hevm hevs mif1 mif2 msf1 miaf".split())
_TGA = re.compile(rb".\0[\x02\x03\x0a\x0b]\0{5}.{8}[\x08\x0f\x10\x18\x20][\0-\x2f]", re.DOTALL)
_NEAR_START = 64


class PictureFiles:
    """Pictures behind the protocol `Files`."""

    NOUN = ("picture", "pictures")
    WORDS = ("image", "img", "picture", "photo", "pic")
    SUFFIXES = tuple(FORMATS)
    UNREAD_SUFFIXES = frozenset(_UNREAD.split())

    def format(self, head: bytes) -> str | None:
        """Return the format that the bytes claim to have, as Pillow names it, if it is read."""
        return picture_format(head)

    def unread_format(self, head: bytes) -> str | None:
        """Name a format of pictures that is not read, with a way to one that is, or None."""
        return unread_format(head)

    def hidden_format(self, head: bytes) -> str | None:
        """Name what holds a picture that must be taken out first, or None."""
        if head[128:132] == b"DICM":
            return "a DICOM file (export its picture as PNG of 16 bits, as by `dcm2img`)"
        return _find_behind(head)


FILES = PictureFiles()


def is_picture(name: str) -> bool:
    """Return whether a file of this name promises to be a picture that is read."""
    return name.lower().endswith(PictureFiles.SUFFIXES)


def picture_format(head: bytes) -> str | None:
    """Name the accepted picture format that the bytes claim to have, as Pillow names it."""
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WEBP"
    if head[4:8] == b"ftyp":
        return "AVIF" if _brands(head) & _AVIF_BRANDS else None
    if unread_format(head) is not None:
        return None
    if _NETPBM.match(head):
        return "PPM"
    return next((name for magic, name in _RASTERS if head.startswith(magic)), None)


def unread_format(head: bytes) -> str | None:
    """Name a picture format that is not accepted, with a way to one that is, or None."""
    named = next((name for magic, name in _OTHER_PICTURES if head.startswith(magic)), None)
    if named or any(head.startswith(magic) for magic, _ in _RASTERS):
        return named
    if head[4:8] == b"ftyp":
        brands = _brands(head)
        if brands & _AVIF_BRANDS:
            return None
        return _HEIC if brands & _HEIC_BRANDS else _RAW if b"crx " in brands else None
    if (text := as_text(head)) is not None:
        drawings = ("<svg>", "<svg ", "<svg/", "<svg\n", "<svg:svg")
        return _SVG if past_markup(text).lower().startswith(drawings) else None
    return f"a TGA picture ({_TO_PNG})" if _TGA.match(head) else None


def _brands(head: bytes) -> set[bytes]:
    """List the brands of an ISO media file: the major one, and those it is compatible with."""
    size = min(int.from_bytes(head[:4], "big"), len(head))
    return {head[8:12], *(head[at : at + 4] for at in range(16, size - 3, 4))}


def _find_behind(head: bytes) -> str | None:
    """Name a picture that stands behind a few other bytes, which no reader passes over."""
    for magic, name in ((_JPEG, "a JPEG"), (_PNG, "a PNG")):
        if (at := head.find(magic, 0, _NEAR_START)) > 0:
            return f"{name} behind {at} other bytes (cut them off)"
    return None


def find_png_damage(raw: bytes) -> tuple[str, str] | None:
    """Check every chunk of a PNG: Pillow passes over the checksums of pixel data.

    Returns:
        None for a whole file, else `truncated` or `damaged`, and where.
    """
    view = memoryview(raw)
    at = 8
    while at + 12 <= len(raw):
        end = at + 8 + int.from_bytes(view[at : at + 4], "big")
        kind = bytes(view[at + 4 : at + 8])
        if end + 4 > len(raw):
            return "truncated", f"its chunk {kind!r} is cut off"
        if zlib.crc32(view[at + 4 : end]) != int.from_bytes(view[end : end + 4], "big"):
            return "damaged", f"wrong checksum in its chunk {kind!r}"
        if kind == b"IEND":
            return None
        at = end + 4
    return "truncated", "it has no end chunk"


def png_significant_bits(raw: bytes) -> int | None:
    """Return the largest number of significant bits that a PNG's sBIT chunk names, or None."""
    at = 8
    while at + 12 <= len(raw):
        size, kind = int.from_bytes(raw[at : at + 4], "big"), raw[at + 4 : at + 8]
        if kind in (b"IDAT", b"IEND"):
            return None
        if kind == b"sBIT" and 0 < size <= 4:
            return max(raw[at + 8 : at + 8 + size])
        at += 12 + size
    return None
