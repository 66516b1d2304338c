"""What a file is, by its first bytes: accepted pictures, other pictures, and what is no picture."""

import zlib

HEAD_BYTES = 1024
"""First bytes of a file that are enough to name it."""

_RASTERS = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"BM", "BMP"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"II+\0", "TIFF"),
    (b"MM\0+", "TIFF"),
)
_OTHER_PICTURES = (
    (b"%!PS", "an EPS or PostScript file"),
    (b"\xc5\xd0\xd3\xc6", "an EPS file"),
    (b"%PDF", "a PDF"),
    (b"\0\0\0\x0cjP  ", "a JPEG 2000 picture"),
    (b"\xff\x4f\xff\x51", "a JPEG 2000 picture"),
    (b"\0\0\0\x0cJXL ", "a JPEG XL picture"),
    (b"\xff\x0a", "a JPEG XL picture"),
    (b"8BPS", "a Photoshop file"),
    (b"\0\0\x01\0", "an icon"),
    (b"II*\0\x10\0\0\0CR", "a camera's raw file"),
    (b"IIU\0", "a camera's raw file"),
    (b"IIRO", "a camera's raw file"),
    (b"FUJIFILMCCD-RAW", "a camera's raw file"),
    (b"P5", "a PGM picture"),
    (b"P6", "a PPM picture"),
    (b"\xd7\xcd\xc6\x9a", "a Windows metafile"),
)
_NO_PICTURES = (
    (b"version https://git-lfs", "a git-LFS pointer (run `git lfs pull`)"),
    (b"PK\x03\x04", "a zip archive"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"\x93NUMPY", "a numpy array"),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
    (b"\x7fELF", "a program"),
    (b"MZ", "a program"),
    (b"ID3", "a sound file"),
)
_HTML = ("<!doctype html", "<html", "<head", "<body")


def picture_format(head: bytes) -> str | None:
    """Name the accepted picture format that the bytes claim to have, as Pillow names it."""
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WEBP"
    if head[4:8] == b"ftyp":
        brands = head[8 : min(int.from_bytes(head[:4], "big"), HEAD_BYTES)]
        return "AVIF" if b"avif" in brands or b"avis" in brands else None
    if sniff_picture(head) is not None:
        return None
    return next((name for magic, name in _RASTERS if head.startswith(magic)), None)


def sniff_picture(head: bytes) -> str | None:
    """Name a picture format that is not accepted, or None."""
    if head[4:8] == b"ftyp" and head[8:12] in (b"heic", b"heix", b"hevc", b"mif1", b"msf1"):
        return "a HEIC picture (convert it to JPEG or PNG)"
    if b"<svg" in head.lower():
        return "an SVG drawing"
    return next((name for magic, name in _OTHER_PICTURES if head.startswith(magic)), None)


def sniff(head: bytes) -> str | None:
    """Say what a file is that is not an accepted picture, or None where that is not known.

    Args:
        head: Its first bytes, `HEAD_BYTES` of them where there are so many.

    Returns:
        A noun with its article, such as `an HTML page`.
    """
    head = head[:HEAD_BYTES]
    named = next((name for magic, name in _NO_PICTURES if head.startswith(magic)), None)
    if named or (named := sniff_picture(head)):
        return named
    if head[4:8] == b"ftyp":
        return None if picture_format(head) else "a video"
    if head[128:132] == b"DICM":
        return "a DICOM file"
    if head[257:262] == b"ustar":
        return "a tar archive"
    return _sniff_text(head)


def _sniff_text(head: bytes) -> str | None:
    # The last character may be cut in two at the end of the head.
    text = head.decode("utf-8", errors="replace").removeprefix("\ufeff").rstrip("\ufffd")
    if not text or not all(each.isprintable() or each.isspace() for each in text):
        return None
    if "\ufffd" in text:
        return None
    start = text.lstrip().lower()
    if start.startswith(_HTML):
        return "an HTML page"
    if start.startswith("<"):
        return "an XML file"
    return "a JSON file" if start.startswith(("{", "[")) else "a text file"


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
