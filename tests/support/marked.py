"""Pictures that carry marks of people, places and machines, made by hand, tag by tag."""

import struct
import zlib
from io import BytesIO

import numpy as np
from PIL import Image

GPS, SERIAL, OWNER, EMAIL = "48.137154N", "SN-7741-MARK", "Ada Markworth", "ada.mark@example.org"
MARKS = (GPS, SERIAL, OWNER, EMAIL)
"""Values that must be found nowhere but in raw files."""


def pixels(seed, *, width=48, height=36):
    """Return a smooth random picture, uint8, HWC, RGB."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BILINEAR))


def encoded(kind, seed=1, *, width=48, height=36, **options):
    """Return a file of a format that carries nothing."""
    stream = BytesIO()
    Image.fromarray(pixels(seed, width=width, height=height)).save(stream, kind, **options)
    return stream.getvalue()


def tags(main=None, exif=None, gps=None, thumbnail=None):
    """Return a block of EXIF, big-endian: values by tag, a JPEG as its thumbnail."""
    main = dict(main or {})
    below = {0x8769: exif, 0x8825: gps}
    links = {tag: values for tag, values in below.items() if values is not None}
    content = bytearray(b"MM\0*\0\0\0\x08")
    places = _write(content, main | dict.fromkeys(links, 0))
    for tag, values in links.items():
        struct.pack_into(">HHII", content, places[tag], tag, 4, 1, len(content))
        _write(content, values)
    if thumbnail is not None:
        struct.pack_into(">I", content, places["next"], len(content))
        at = _write(content, {0x0201: 0, 0x0202: 0})
        for tag, value in ((0x0201, len(content)), (0x0202, len(thumbnail))):
            struct.pack_into(">HHII", content, at[tag], tag, 4, 1, value)
        content += thumbnail
    return bytes(content)


def _write(content, values):
    """Append a directory with its values; return the places of its entries and of its link."""
    start, places, rest = len(content), {}, bytearray()
    after = start + 2 + 12 * len(values) + 4
    content += struct.pack(">H", len(values))
    for tag, value in sorted(values.items()):
        places[tag] = len(content)
        if isinstance(value, int):
            content += struct.pack(">HHIHH", tag, 3, 1, value, 0)
            continue
        body = value.encode() + b"\0" if isinstance(value, str) else value
        content += struct.pack(">HHI", tag, 2 if isinstance(value, str) else 7, len(body))
        if len(body) <= 4:
            content += body.ljust(4, b"\0")
        else:
            content += struct.pack(">I", after + len(rest))
            rest += body
    places["next"] = len(content)
    content += bytes(4) + rest
    return places


def full_tags(orientation=1, thumbnail=None):
    """Return tags with all marks."""
    main = {0x0112: orientation, 0x013B: OWNER, 0x010F: "Maker", 0x0132: "2020:01:02 03:04:05"}
    exif = {0xA431: SERIAL, 0x927C: SERIAL.encode(), 0x9286: b"ASCII\0\0\0" + EMAIL.encode()}
    return tags(main, exif, {0: b"\2\3\0\0", 2: GPS}, thumbnail)


def segment(marker, body):
    """Return a segment of a JPEG."""
    return bytes((0xFF, marker)) + (len(body) + 2).to_bytes(2, "big") + body


def in_jpeg(content, *segments):
    """Put segments into a JPEG, behind its first one."""
    at = 4 + int.from_bytes(content[4:6], "big")
    return content[:at] + b"".join(segments) + content[at:]


def exif_segment(body):
    return segment(0xE1, b"Exif\0\0" + body)


def chunk(name, body):
    """Return a chunk of a PNG."""
    crc = zlib.crc32(name + body).to_bytes(4, "big")
    return len(body).to_bytes(4, "big") + name + body + crc


def in_png(content, *chunks):
    """Put chunks into a PNG, behind its header."""
    return content[:33] + b"".join(chunks) + content[33:]


def in_webp(content, exif=None, xmp=None):
    """Return a WebP in the extended form, with what it carries."""
    with Image.open(BytesIO(content)) as image:
        width, height = image.size
    flags = (8 if exif else 0) | (4 if xmp else 0)
    sizes = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    parts = b"VP8X" + struct.pack("<I", 10) + bytes((flags, 0, 0, 0)) + sizes + content[12:]
    for name, body in ((b"EXIF", exif), (b"XMP ", xmp)):
        if body:
            parts += name + struct.pack("<I", len(body)) + body + bytes(len(body) % 2)
    return b"RIFF" + struct.pack("<I", 4 + len(parts)) + b"WEBP" + parts


def in_gif(content, *extensions):
    """Put extensions into a GIF, behind its colors; each is a label and a body."""
    at = 13 + (3 << ((content[10] & 7) + 1))
    written = b""
    for label, body in extensions:
        name, body = (body[:11], body[11:]) if label == 0xFF else (b"", body)
        pieces = [body[start : start + 255] for start in range(0, len(body), 255)]
        pieces = [name, *pieces] if name else pieces
        written += bytes((0x21, label)) + b"".join(bytes((len(each),)) + each for each in pieces)
        written += b"\0"
    return content[:at] + written + content[at:]
