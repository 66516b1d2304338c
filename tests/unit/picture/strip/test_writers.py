"""A stripped picture carries nothing, and its coded data are the same bytes."""

import re
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from pipeline.modality.types.stripping import CannotStrip
from pipeline.picture.read.carried import find_carried
from pipeline.picture.read.decode import open_picture
from pipeline.picture.strip.strip import STRIP
from tests.support.marked import (
    EMAIL,
    MARKS,
    OWNER,
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

XMP = b"<x:xmpmeta>" + OWNER.encode() + b'<tiff:Orientation="8"/>'
JPEG, PNG, WEBP, GIF = (encoded(kind) for kind in ("JPEG", "PNG", "WEBP", "GIF"))
SMALL = encoded("JPEG", width=16, height=12)


def seen(content):
    return open_picture(content, background=(9, 9, 9), max_pixels=10**6, animated="first")


def check(content):
    """Strip a file, and return the copy that holds the rules of all."""
    done = STRIP.strip(content)
    before, after = seen(content), seen(done.content)
    assert np.array_equal(before.pixels, after.pixels)
    assert before.pixel_hash == after.pixel_hash
    assert find_carried(done.content)[0] == frozenset()
    assert not any(mark.encode() in done.content for mark in MARKS)
    assert STRIP.strip(done.content).content == done.content
    return done.content


def coded(content):
    """Return the coded data of a JPEG."""
    return content[content.index(b"\xff\xda") :].partition(b"\xff\xd9")[0]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_jpeg_keeps_its_coded_data_and_its_orientation(orientation):
    block = full_tags(orientation, thumbnail=SMALL)
    note = segment(0xFE, EMAIL.encode())
    content = in_jpeg(JPEG, exif_segment(block), note, segment(0xED, b"Photoshop 3.0\0")) + SMALL
    plain = check(content)
    assert coded(plain) == coded(JPEG)
    assert coded(JPEG) in content
    assert len(plain) == len(JPEG) + (0 if orientation == 1 else 36)


def test_a_jpeg_with_comments_between_its_scans():
    stream = BytesIO()
    Image.fromarray(pixels(1)).save(stream, "JPEG", progressive=True)
    content = stream.getvalue()
    at = [found.start() for found in re.finditer(b"\xff\xda", content)][1]
    marked = content[:at] + segment(0xFE, EMAIL.encode()) + content[at:]
    assert check(marked) == content


def test_a_jpeg_keeps_what_its_colors_need():
    stream = BytesIO()
    profile = b"profile" * 100
    Image.fromarray(pixels(1)).convert("CMYK").save(stream, "JPEG", icc_profile=profile)
    content = in_jpeg(stream.getvalue(), exif_segment(full_tags()))
    plain = check(content)
    assert b"Adobe" in plain
    assert profile in plain


def test_a_jpeg_without_the_thumbnail_of_jfif():
    small = bytes(3 * 4 * 4)
    content = JPEG[:4] + (16 + len(small)).to_bytes(2, "big")
    content = JPEG[:2] + b"\xff\xe0" + (16 + len(small)).to_bytes(2, "big") + JPEG[6:18]
    content += b"\4\4" + small + JPEG[20:]
    assert find_carried(content)[0] == {"thumbnail"}
    assert check(content) == JPEG


@pytest.mark.parametrize("orientation", [1, 6])
def test_an_orientation_that_xmp_alone_says_stays(orientation):
    packet = XMP.replace(b"8", str(orientation).encode())
    content = in_jpeg(JPEG, segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + packet))
    assert seen(check(content)).width == (48 if orientation == 1 else 36)


@pytest.mark.parametrize("orientation", [1, 6])
def test_a_png(orientation):
    content = in_png(
        PNG,
        chunk(b"gAMA", (45455).to_bytes(4, "big")),
        chunk(b"eXIf", full_tags(orientation)),
        chunk(b"tEXt", b"Comment\0" + EMAIL.encode()),
        chunk(b"tIME", bytes(7)),
    )
    plain = check(content + b"PK\3\4" + EMAIL.encode())
    assert b"gAMA" in plain
    assert plain[plain.index(b"IDAT") :] == PNG[PNG.index(b"IDAT") :]
    assert (b"eXIf" in plain) == (orientation == 6)


def test_a_png_whose_exif_stands_behind_its_pixels():
    content = PNG[:-12] + chunk(b"eXIf", full_tags(6)) + PNG[-12:]
    assert seen(check(content)).width == 36


def test_an_animated_png_keeps_its_frames(tmp_path):
    frames = [Image.fromarray(pixels(seed)) for seed in range(3)]
    frames[0].save(tmp_path / "a.png", save_all=True, append_images=frames[1:])
    content = (tmp_path / "a.png").read_bytes()
    assert check(in_png(content, chunk(b"tEXt", b"Author\0" + OWNER.encode()))) == content


@pytest.mark.parametrize("orientation", [1, 3, 6])
def test_a_webp(orientation):
    content = in_webp(WEBP, exif=full_tags(orientation), xmp=XMP)
    plain = check(content)
    assert WEBP[12:] in plain
    assert int.from_bytes(plain[4:8], "little") == len(plain) - 8
    with Image.open(BytesIO(plain)) as image:
        assert "xmp" not in image.info


def test_a_gif_keeps_its_loop():
    loop = (0xFF, b"NETSCAPE2.0\1\0\0")
    content = in_gif(GIF, (0xFE, EMAIL.encode() * 20), (0xFF, b"XMP DataXMP" + XMP))
    assert check(content) == GIF
    assert b"NETSCAPE2.0" in check(in_gif(GIF, (0xFE, b"x"), loop))


def test_comments_of_a_ppm_but_not_its_pixels():
    content = b"P5\n# " + EMAIL.encode() + b"\n2 2\n255\n#\n1#"
    assert check(content) == b"P5\n\n2 2\n255\n#\n1#"


@pytest.mark.parametrize("packing", ["raw", "tiff_lzw", "tiff_adobe_deflate"])
def test_a_tiff_keeps_every_byte_of_its_pixels_at_its_place(tmp_path, packing):
    info = {270: EMAIL, 274: 6, 315: OWNER, 33432: OWNER}
    image, small = Image.fromarray(pixels(1)), Image.fromarray(pixels(2, width=8, height=8))
    small.encoderinfo = {"tiffinfo": {254: 1}, "compression": packing}
    image.save(
        tmp_path / "a.tif",
        tiffinfo=info,
        compression=packing,
        save_all=True,
        append_images=[small],
        exif=None,
    )
    content = (tmp_path / "a.tif").read_bytes() + OWNER.encode()
    plain = check(content)
    assert len(plain) == len(content)
    with Image.open(BytesIO(plain)) as opened:
        assert opened.n_frames == 1
        at, size = opened.tag_v2[273][0], opened.tag_v2[279][0]
    assert plain[at : at + size] == content[at : at + size]


def test_what_carries_nothing_stays_byte_for_byte():
    for kind in ("JPEG", "PNG", "WEBP", "GIF", "BMP", "PPM", "TIFF", "AVIF"):
        content = encoded(kind)
        assert STRIP.strip(content).content == content


def test_what_cannot_be_written_is_refused_and_named(tmp_path):
    Image.fromarray(pixels(1)).save(tmp_path / "a.avif", exif=tags({0x013B: OWNER}))
    with pytest.raises(CannotStrip, match=r"^it carries owner, and AVIF is not written"):
        STRIP.strip((tmp_path / "a.avif").read_bytes())
    with pytest.raises(CannotStrip, match=r"^truncated"):
        STRIP.strip(in_jpeg(JPEG, exif_segment(full_tags()))[:-50])
    Image.fromarray(pixels(1)).save(tmp_path / "a.tif", compression="jpeg", tiffinfo={315: OWNER})
    with pytest.raises(CannotStrip, match="JPEG inside a TIFF"):
        STRIP.strip((tmp_path / "a.tif").read_bytes())


def test_a_writer_that_changes_pixels_is_found_out(monkeypatch):
    from pipeline.picture.strip import strip

    other = encoded("JPEG", 2)
    monkeypatch.setattr(strip, "WRITERS", {"JPEG": lambda content, orientation: other})
    with pytest.raises(CannotStrip, match="its pixels would change"):
        STRIP.strip(in_jpeg(JPEG, exif_segment(full_tags())))


def test_hostile_files_are_refused_or_written_right():
    generator = np.random.default_rng(5)
    files = [
        in_jpeg(JPEG, exif_segment(full_tags(6, SMALL))),
        in_png(PNG, chunk(b"eXIf", full_tags(6))),
        in_webp(WEBP, exif=full_tags(6), xmp=XMP),
        in_gif(GIF, (0xFE, EMAIL.encode())),
    ]
    for content in files:
        for _ in range(60):
            changed = bytearray(content)
            for place in generator.integers(0, len(content), 3):
                changed[place] = generator.integers(0, 256)
            try:
                plain = STRIP.strip(bytes(changed)).content
            except CannotStrip:
                continue
            assert find_carried(plain)[0] == frozenset()
            assert np.array_equal(seen(bytes(changed)).pixels, seen(plain).pixels)
