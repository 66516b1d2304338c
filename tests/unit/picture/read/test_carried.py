"""What a picture carries is found by kind, in every format; hostile tags do no harm."""

import struct
import time
import zlib

import numpy as np
import pytest
from PIL import Image

from pipeline.picture.read.carried import CARRIED, PERSONAL, find_carried, shows_more
from pipeline.picture.read.probe import Limits
from tests.support.marked import (
    EMAIL,
    GPS,
    OWNER,
    SERIAL,
    chunk,
    encoded,
    exif_segment,
    full_tags,
    in_gif,
    in_jpeg,
    in_png,
    in_webp,
    pixels,
    segment,
    tags,
)

LOOK = Limits(50_000_000, "first")
IN_XMP = {"xmp", "gps", "serial", "owner"}
XMP = b"<x:xmpmeta><exif:GPSLatitude>48</exif:GPSLatitude><aux:SerialNumber/><dc:creator/>"
JPEG, PNG, WEBP, GIF = (encoded(kind) for kind in ("JPEG", "PNG", "WEBP", "GIF"))
SMALL = encoded("JPEG", width=16, height=12)


def kinds(content):
    return set(find_carried(content)[0])


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "PPM", "TIFF", "AVIF"])
def test_a_picture_that_carries_nothing(kind):
    assert kinds(encoded(kind)) == set()


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        (tags(gps={2: GPS}), {"gps"}),
        (tags(gps={0: b"\2\3\0\0"}), set()),
        (tags(exif={0xA431: SERIAL}), {"serial"}),
        (tags(exif={0xA435: SERIAL}), {"serial"}),
        (tags({0x013B: OWNER}), {"owner"}),
        (tags({0x8298: "(c) " + OWNER}), {"owner"}),
        (tags(exif={0xA430: OWNER}), {"owner"}),
        (tags({0x013B: "      "}), set()),
        (tags({0x010E: EMAIL}), {"comment"}),
        (tags(exif={0x9286: b"ASCII\0\0\0" + EMAIL.encode()}), {"comment"}),
        (tags(exif={0x9286: b"ASCII\0\0\0      "}), set()),
        (tags({0x0132: "2020:01:02 03:04:05"}), {"time"}),
        (tags({0x0110: "Model"}), {"camera"}),
        (tags(exif={0x927C: b"Maker\0\1"}), {"maker_note"}),
        (tags(exif={0x829A: 20}), {"other"}),
        (tags({0xFDE8: "unknown"}), {"other"}),
        (tags({0x0112: 6}), set()),
        (tags(thumbnail=SMALL), {"thumbnail"}),
    ],
)
def test_tags_by_kind_wherever_they_stand(block, expected):
    assert kinds(in_jpeg(JPEG, exif_segment(block))) == expected
    assert kinds(in_png(PNG, chunk(b"eXIf", block))) == expected
    assert kinds(in_webp(WEBP, exif=block)) == expected
    raw = (
        b"\nexif\n  " + str(len(block) + 6).encode() + b"\n" + (b"Exif\0\0" + block).hex().encode()
    )
    packed = b"Raw profile type exif\0\0" + zlib.compress(raw)
    assert kinds(in_png(PNG, chunk(b"zTXt", packed))) == expected


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (in_jpeg(JPEG, segment(0xFE, EMAIL.encode())), {"comment"}),
        (in_jpeg(JPEG, segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + XMP)), IN_XMP),
        (in_jpeg(JPEG, segment(0xED, b"Photoshop 3.0\0\x1c\x02\x50\0\3Ada")), {"iptc", "owner"}),
        (in_jpeg(JPEG, segment(0xED, b"Photoshop 3.0\0008BIM\x04\x0c\0\0")), {"iptc", "thumbnail"}),
        (in_jpeg(JPEG, segment(0xE0, b"JFXX\0\x10" + SMALL)), {"thumbnail"}),
        (in_jpeg(JPEG, segment(0xEB, b"JP\0\0")), {"other"}),
        (in_jpeg(JPEG, segment(0xE2, b"ICC_PROFILE\0\1\1abc")), set()),
        (in_jpeg(JPEG, segment(0xEE, b"Adobe\0d\0\0\0\0\0")), set()),
        (JPEG + SMALL, {"behind"}),
        (JPEG + b"\0\0", set()),
        (in_png(PNG, chunk(b"tEXt", b"Comment\0" + EMAIL.encode())), {"comment"}),
        (in_png(PNG, chunk(b"tEXt", b"Author\0" + OWNER.encode())), {"owner"}),
        (in_png(PNG, chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + XMP)), IN_XMP),
        (in_png(PNG, chunk(b"tIME", bytes(7))), {"time"}),
        (in_png(PNG, chunk(b"caBX", b"c2pa")), {"other"}),
        (in_png(PNG, chunk(b"gAMA", bytes(4))), set()),
        (PNG + b"PK", {"behind"}),
        (in_webp(WEBP, xmp=XMP), IN_XMP),
        (in_gif(GIF, (0xFE, EMAIL.encode())), {"comment"}),
        (in_gif(GIF, (0xFF, b"XMP DataXMP")), {"xmp"}),
        (in_gif(GIF, (0xFF, b"NETSCAPE2.0")), set()),
        (b"P5\n# " + EMAIL.encode() + b"\n2 2\n255\n####", {"comment"}),
        (b"P5\n2 2\n255\n#1 2", set()),
        (b"P2\n2 2\n255\n1 2 # note\n3 4\n", {"comment"}),
    ],
)
def test_blocks_by_kind(content, expected):
    assert kinds(content) == expected


def test_tags_of_a_tiff_and_its_small_pages(tmp_path):
    image, small = (Image.fromarray(pixels(1, width=side, height=side)) for side in (32, 8))
    image.save(tmp_path / "a.tif", tiffinfo={315: OWNER, 33550: (1.0, 1.0, 0.0)})
    assert kinds((tmp_path / "a.tif").read_bytes()) == {"owner", "gps"}
    small.encoderinfo = {"tiffinfo": {254: 1}}
    image.save(tmp_path / "b.tif", save_all=True, append_images=[small])
    assert kinds((tmp_path / "b.tif").read_bytes()) == {"thumbnail"}


def test_tags_of_an_avif(tmp_path):
    Image.fromarray(pixels(1)).save(
        tmp_path / "a.avif", exif=tags({0x013B: OWNER}, {0xA431: SERIAL}), xmp=XMP
    )
    assert {"gps", "serial", "owner", "xmp"} == kinds((tmp_path / "a.avif").read_bytes())


def test_a_broken_picture_is_looked_at_too():
    probe = LOOK.probe(in_jpeg(JPEG, exif_segment(full_tags()))[:-60], "a.jpg")
    assert probe.reason == "truncated"
    assert {"gps", "serial", "owner", "comment"} <= {kind for kind, _ in probe.carries}


def test_what_is_seen_names_no_value():
    probe = LOOK.probe(in_jpeg(JPEG, exif_segment(full_tags()), segment(0xFE, EMAIL.encode())), "a")
    assert dict(probe.carries).keys() <= CARRIED.keys()
    assert not any(mark in repr(probe) for mark in (GPS, SERIAL, OWNER, EMAIL))
    assert set(CARRIED) > PERSONAL


@pytest.mark.parametrize(
    "content",
    [
        b"P5\n" + EMAIL.encode() + b"\n2 2\n255\n1234",
        b"P2\n2 2\n255\n" + EMAIL.encode() + b" 2 3 4\n",
        b"P1\n2 2\n" + EMAIL.encode() + b"\n",
        b"P5\n2 2 " + EMAIL.encode() + b"\n1234",
    ],
)
def test_a_refusal_quotes_nothing_of_the_file(content):
    probe = LOOK.probe(content, "a.ppm")
    assert probe.reason is not None
    assert not any(EMAIL[at : at + 4] in probe.detail for at in range(len(EMAIL) - 4))


def letterbox(shown, width, height):
    bars = np.zeros((height, width, 3), dtype=np.uint8)
    top, left = (height - shown.shape[0]) // 2, (width - shown.shape[1]) // 2
    bars[top : top + shown.shape[0], left : left + shown.shape[1]] = shown
    return bars


def as_jpeg(shown):
    from io import BytesIO

    stream = BytesIO()
    Image.fromarray(shown).save(stream, "JPEG", quality=90)
    return stream.getvalue()


def test_a_thumbnail_that_shows_the_picture_in_any_way():
    picture = pixels(1, width=180, height=120)
    small = np.asarray(Image.fromarray(picture).resize((60, 40)))
    for shown in (small, np.rot90(small), letterbox(small, 60, 46), small[:, ::-1]):
        assert not shows_more(as_jpeg(np.ascontiguousarray(shown)), picture)


def test_a_thumbnail_that_shows_something_else():
    whole = pixels(1, width=180, height=120)
    small = np.asarray(Image.fromarray(whole).resize((60, 40)))
    assert shows_more(as_jpeg(small), np.ascontiguousarray(whole[:, :90]))  # cut to the left half
    assert shows_more(as_jpeg(small), np.ascontiguousarray(whole[60:, 90:]))  # to a quarter
    covered = whole.copy()
    covered[20:110, 20:160] = 0
    assert shows_more(as_jpeg(small), covered)
    assert shows_more(as_jpeg(pixels(2, width=60, height=40)), whole)


def test_a_thumbnail_that_shows_more_is_told_by_clean():
    whole = pixels(1, width=180, height=120)
    block = exif_segment(
        tags(thumbnail=as_jpeg(np.asarray(Image.fromarray(whole).resize((60, 40)))))
    )
    same = LOOK.probe(in_jpeg(as_jpeg(whole), block), "a.jpg")
    cut = LOOK.probe(in_jpeg(as_jpeg(np.ascontiguousarray(whole[:, :90])), block), "a.jpg")
    assert (dict(same.carries), dict(cut.carries)) == (
        {"thumbnail": 1},
        {"thumbnail": 1, "shows_more": 1},
    )


def looped():
    """Return tags whose directory follows itself."""
    content = bytearray(tags({0x0112: 1, 0x013B: OWNER}))
    struct.pack_into(">I", content, 8 + 2 + 24, 8)
    return bytes(content)


def to_itself():
    """Return tags whose inner directory is the one above."""
    content = bytearray(tags({0x013B: OWNER}, exif={0xA431: SERIAL}))
    struct.pack_into(">I", content, 8 + 2 + 12 + 8, 8)
    return bytes(content)


HOSTILE = {
    "empty": b"",
    "mark alone": b"MM\0*",
    "no mark": b"XX\0*\0\0\0\x08",
    "far": b"MM\0*\xff\xff\xff\xff",
    "cut": full_tags()[:40],
    "loop": looped(),
    "to itself": to_itself(),
    "many entries": b"MM\0*\0\0\0\x08\xff\xff" + bytes(12) * 5000,
    "huge value": b"MM\0*\0\0\0\x08\0\1"
    + struct.pack(">HHII", 0x013B, 2, 0xFFFFFFFF, 26)
    + bytes(4),
    "huge thumbnail": full_tags(thumbnail=b"\xff\xd8\xff" + bytes(60_000)),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_tags_neither_crash_nor_hang(name):
    start = time.process_time()
    for content in (
        in_jpeg(JPEG, exif_segment(HOSTILE[name])) if len(HOSTILE[name]) < 65_000 else JPEG,
        in_png(PNG, chunk(b"eXIf", HOSTILE[name])),
        in_webp(WEBP, exif=HOSTILE[name] or b"\0"),
        HOSTILE[name],
    ):
        assert kinds(content) <= set(CARRIED)
        LOOK.probe(content, "a.jpg")
    assert time.process_time() - start < 2.0


@pytest.mark.parametrize(
    "content",
    [
        *(JPEG, PNG, WEBP, GIF, encoded("TIFF", width=8, height=6), encoded("PPM")[:600]),
        *(in_jpeg(JPEG, exif_segment(full_tags())), in_png(PNG, chunk(b"eXIf", full_tags()))),
        encoded("AVIF", exif=tags({0x013B: OWNER}, {0xA431: SERIAL}), xmp=XMP),
    ],
)
def test_no_cut_and_no_changed_byte_does_harm(content):
    generator = np.random.default_rng(3)
    for at in range(0, len(content), 7):
        find_carried(content[:at])
        changed = bytearray(content)
        for place in generator.integers(0, len(content), 4):
            changed[place] = generator.integers(0, 256)
        find_carried(bytes(changed))


def test_no_broken_thumbnail_does_harm():
    generator, picture = np.random.default_rng(4), pixels(1)
    for at in range(0, len(SMALL), 9):
        changed = bytearray(SMALL)
        for place in generator.integers(3, len(SMALL), 3):
            changed[place] = generator.integers(0, 256)
        assert shows_more(bytes(changed), picture) in (True, False)
        assert shows_more(SMALL[:at], picture) in (True, False)
