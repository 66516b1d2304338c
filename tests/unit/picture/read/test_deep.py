"""Samples of more than 8 bits, white at 0, pages, planes: the pixels that the file's tags mean.

What is expected is computed by NumPy from the values that were written.
"""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from pipeline.picture.read.decode import DecodeSpec, decode, decode_noted, open_picture
from pipeline.picture.read.spec import UndecodableImage
from tests.support.tiffs import tiff

RNG = np.random.default_rng(11)
H, W = 33, 45


def see(raw, **options):
    return open_picture(raw, background=(0, 0, 0), max_pixels=100_000, animated="first", **options)


def values(bits, *channels):
    """Give noise that reaches both ends of its range."""
    top = (1 << bits) - 1
    kind = np.uint8 if bits <= 8 else np.uint16
    noise = RNG.integers(0, top, (H, W, *channels), kind, endpoint=True)
    noise[0, 0], noise[1, 1] = 0, top
    return noise


def expected(stored, top, white_at_0=False):
    """Give uint8 [H, W, 3]."""
    shares = np.minimum(stored.astype(np.float64), top) / top
    gray = np.floor((1 - shares if white_at_0 else shares) * 255 + 0.5 - 1e-9).astype(np.uint8)
    return np.repeat(gray[..., None], 3, axis=2) if gray.ndim == 2 else gray


LAYOUTS = {
    "one strip": {},
    "three strips": {"strips": 3},
    "tiles": {"tile": 16},
    "deflate": {"compression": 8},
    "PackBits": {"compression": 32773, "strips": 2},
    "deflated tiles": {"compression": 8, "tile": 16},
}


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
@pytest.mark.parametrize("order", ["<", ">"], ids=["II", "MM"])
@pytest.mark.parametrize("bits", [1, 2, 4, 8, 10, 12, 14, 16])
def test_white_at_0_gives_the_same_picture_as_black_at_0(bits, order, layout):
    if bits < 8 and "tile" in layout:
        layout = {}
    stored, top = values(bits), (1 << bits) - 1
    plain = see(tiff(stored, bits=bits, order=order, **layout))
    turned = see(tiff(top - stored, bits=bits, order=order, photometric=0, **layout))
    assert np.array_equal(plain.pixels, expected(stored, top))
    assert np.array_equal(turned.pixels, plain.pixels)
    assert turned.pixel_hash == plain.pixel_hash
    assert plain.notes == turned.notes == ()


@pytest.mark.parametrize("order", ["<", ">"], ids=["II", "MM"])
@pytest.mark.parametrize("extra", [0, 2], ids=["unknown extra", "alpha"])
@pytest.mark.parametrize("bits", [8, 16])
def test_white_at_0_leaves_the_second_sample_alone(bits, extra, order):
    stored, top = values(bits), (1 << bits) - 1
    for photometric, gray in ((1, stored), (0, top - stored)):
        both = np.stack([gray, np.full_like(gray, top)], axis=2)
        picture = see(tiff(both, photometric=photometric, extra=(extra,), order=order))
        assert np.array_equal(picture.pixels, expected(stored, top))


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_adobe_deflate", "packbits"])
def test_white_at_0_as_libtiff_packs_it(compression):
    stored = values(16)
    found = []
    for gray in (stored, 65535 - stored):
        stream = io.BytesIO()
        Image.fromarray(gray).save(stream, "TIFF", compression=compression)
        found.append(bytearray(stream.getvalue()))
    found[1][found[1].index(struct.pack("<HHI", 262, 3, 1)) + 8] = 0
    plain, turned = (see(bytes(each)) for each in found)
    assert np.array_equal(turned.pixels, expected(stored, 65535))
    assert plain.pixel_hash == turned.pixel_hash


def test_both_byte_orders_are_one_picture():
    stored = values(16)
    assert see(tiff(stored)).pixel_hash == see(tiff(stored, order=">")).pixel_hash


RANGES = {
    "MaxSampleValue": {"tags": [(281, "H", (4095,))]},
    "SMaxSampleValue": {"tags": [(341, "H", (4095,))]},
    "MaxSampleValue, white at 0": {"tags": [(281, "H", (4095,))], "photometric": 0},
    "packed": {"bits": 12},
}


@pytest.mark.parametrize("order", ["<", ">"], ids=["II", "MM"])
@pytest.mark.parametrize("options", RANGES.values(), ids=RANGES)
def test_12_bits_are_scaled_where_the_file_says_so(options, order):
    stored = values(12)
    picture = see(tiff(stored, order=order, **options))
    assert np.array_equal(picture.pixels, expected(stored, 4095, options.get("photometric") == 0))
    assert picture.notes == ()


UNSAID = {
    "no tag": [],
    "the largest value of the picture": [(281, "H", (3001,))],
    "too small a range": [(281, "H", (1023,))],
}


@pytest.mark.parametrize("tags", UNSAID.values(), ids=UNSAID)
def test_what_may_be_12_bits_is_left_dark_and_noted(tags):
    stored = values(12)
    picture = see(tiff(stored, tags=tags))
    assert np.array_equal(picture.pixels, expected(stored, 65535))
    assert picture.notes == ("gray16_dark",)


@pytest.mark.parametrize("bits", [10, 12, 14])
@pytest.mark.parametrize("photometric", [0, 1])
def test_white16_says_what_no_tag_does(bits, photometric):
    stored, top = values(bits), (1 << bits) - 1
    raw = tiff(stored if photometric else top - stored, photometric=photometric)
    picture = see(raw, white16=top)
    assert np.array_equal(picture.pixels, expected(stored, top))
    assert picture.notes == ()
    spec = DecodeSpec(20, "squash", "bilinear", (0, 0, 0), top)
    small = Image.fromarray(expected(stored, top)[..., 0]).resize((20, 20), Image.BILINEAR)
    assert np.array_equal(decode(raw, spec)[0], np.asarray(small))


def test_what_lies_above_white16_is_white_and_noted():
    picture = see(tiff(values(16)), white16=4095)
    assert picture.notes == ("clipped16",)
    assert (picture.pixels == 255).mean() > 0.9


def test_white16_leaves_8_bits_alone_and_what_says_its_own_range():
    stored = values(8)
    assert np.array_equal(see(tiff(stored), white16=4095).pixels, expected(stored, 255))
    stored = values(14)
    raw = tiff(stored, tags=[(281, "H", (16383,))])
    assert np.array_equal(see(raw, white16=4095).pixels, expected(stored, 16383))


def png(stored, significant=None):
    """Give a PNG of 16 bits, which says by `significant` how many are used."""
    channels = stored.shape[2] if stored.ndim == 3 else 1
    kind = {1: 0, 2: 4, 3: 2, 4: 6}[channels]

    def chunk(name, content):
        checksum = zlib.crc32(name + content)
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", checksum)

    head = struct.pack(">IIBBBBB", stored.shape[1], stored.shape[0], 16, kind, 0, 0, 0)
    lines = b"".join(b"\0" + row.astype(">u2").tobytes() for row in stored)
    bits = chunk(b"sBIT", bytes([significant] * channels)) if significant else b""
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + bits
        + chunk(b"IDAT", zlib.compress(lines))
        + chunk(b"IEND", b"")
    )


def with_alpha(color):
    return np.concatenate([color, np.full((H, W, 1), 65535, np.uint16)], axis=2)


COLOR = {
    "PNG": lambda color, bits: png(color, bits),
    "PNG with alpha": lambda color, bits: png(with_alpha(color), bits),
    "TIFF": lambda color, bits: tiff(color, photometric=2, tags=said(3, bits)),
    "TIFF, MM": lambda color, bits: tiff(color, photometric=2, tags=said(3, bits), order=">"),
    "TIFF, deflated": lambda color, bits: tiff(
        color, photometric=2, tags=said(3, bits), compression=8, order=">"
    ),
    "TIFF with alpha": lambda color, bits: tiff(
        with_alpha(color), photometric=2, tags=said(4, bits), extra=(2,)
    ),
    "TIFF in planes": lambda color, bits: tiff(
        color, photometric=2, tags=said(3, bits), planar=2, strips=2
    ),
    "TIFF in tiles": lambda color, bits: tiff(
        color, photometric=2, tags=said(3, bits), tile=16, compression=8
    ),
}


def said(channels, bits):
    return [(281, "H", ((1 << bits) - 1,) * channels)] if bits else []


@pytest.mark.parametrize("bits", [10, 12, 14])
@pytest.mark.parametrize("make", COLOR.values(), ids=COLOR)
def test_color_of_fewer_bits_in_16_is_scaled_by_the_low_bytes_too(make, bits):
    color, top = values(bits, 3), (1 << bits) - 1
    assert np.array_equal(see(make(color, bits)).pixels, expected(color, top))
    assert np.array_equal(see(make(color, None), white16=top).pixels, expected(color, top))
    dark = see(make(color, None))
    assert dark.notes == ("gray16_dark",)
    assert np.array_equal(dark.pixels, expected(color, 65535))


@pytest.mark.parametrize("make", COLOR.values(), ids=COLOR)
def test_color_of_the_whole_range_is_as_ever(make):
    color = values(16, 3)
    picture = see(make(color, None))
    assert np.array_equal(picture.pixels, (color >> 8).astype(np.uint8))
    assert picture.notes == ()


def test_dark_color_differs_by_its_low_bytes():
    one, other = np.full((H, W, 3), 300, np.uint16), np.full((H, W, 3), 301, np.uint16)
    assert see(png(one)).pixel_hash != see(png(other)).pixel_hash


def test_packed_color_is_read():
    color = values(12, 3)
    for order in "<>":
        picture = see(tiff(color, photometric=2, bits=12, order=order))
        assert np.array_equal(picture.pixels, expected(color, 4095))


def test_a_png_that_scaled_its_significant_bits_is_as_it_is():
    stored = values(12) << 4
    picture = see(png(stored, 12))
    assert np.array_equal(picture.pixels, expected(stored, 65535))
    gray = values(12)
    assert np.array_equal(see(png(gray, 12)).pixels, expected(gray, 4095))


@pytest.mark.parametrize("turn", [3, 6, 8])
@pytest.mark.parametrize("bits", [10, 16])
def test_an_orientation_turns_them_too(bits, turn):
    stored, top = values(bits), (1 << bits) - 1
    raw = tiff(top - stored, bits=bits, photometric=0, tags=[(274, "H", (turn,))])
    upright = expected(stored, top)
    turned = {
        3: upright[::-1, ::-1],
        6: upright.transpose(1, 0, 2)[:, ::-1],
        8: upright.transpose(1, 0, 2)[::-1],
    }
    assert np.array_equal(see(raw).pixels, turned[turn])


GRAY, SMALL = values(8), np.full((16, 16), 99, np.uint8)
THUMB, OLD_THUMB, MASK = [(254, "I", (1,))], [(255, "H", (2,))], [(254, "I", (4,))]
PAGES = {
    "a thumbnail first": (tiff(SMALL, tags=THUMB, sub=[{"values": GRAY}]), 1),
    "a thumbnail first, old tag": (tiff(SMALL, tags=OLD_THUMB, sub=[{"values": GRAY}]), 1),
    "a thumbnail first, MM": (tiff(SMALL, order=">", tags=THUMB, sub=[{"values": GRAY}]), 1),
    "a thumbnail, then 16 bits with white at 0": (
        tiff(
            SMALL,
            tags=THUMB,
            sub=[{"values": 65535 - GRAY.astype(np.uint16) * 257, "photometric": 0}],
        ),
        1,
    ),
    "a thumbnail alone": (tiff(GRAY, tags=THUMB), 1),
    "overviews behind": (
        tiff(GRAY, sub=[{"values": SMALL, "tags": THUMB}, {"values": SMALL, "tags": THUMB}]),
        1,
    ),
    "a mask behind": (tiff(GRAY, sub=[{"values": SMALL, "tags": MASK}]), 1),
    "pages": (tiff(GRAY, sub=[{"values": SMALL}, {"values": SMALL}]), 3),
    "a thumbnail, then pages": (
        tiff(SMALL, tags=THUMB, sub=[{"values": GRAY}, {"values": SMALL}]),
        2,
    ),
}


@pytest.mark.parametrize(("raw", "frames"), PAGES.values(), ids=PAGES)
def test_the_first_page_that_is_a_picture_of_its_own_is_taken(raw, frames):
    picture = see(raw)
    assert np.array_equal(picture.pixels, expected(GRAY, 255))
    assert picture.frames == frames
    assert picture.notes == (("animated",) if frames > 1 else ())


def test_prediction_says_how_many_pages_there_are():
    raw, _ = PAGES["pages"]
    _, notes = decode_noted(raw, DecodeSpec(8, "squash", "bilinear", (0, 0, 0)))
    assert notes == ("animated: the first of 3 frames or pages was taken",)


REFUSED = {
    "camera": (
        tiff(SMALL, tags=[*THUMB, (271, "H", b"NIKON\0"), (330, "I", (8,))]),
        "format_not_allowed",
        "raw file",
    ),
    "sensor": (tiff(SMALL.astype(np.uint16), photometric=32803), "unsupported_mode", "develop"),
    "picture in a sub-directory": (
        tiff(SMALL, tags=[*THUMB, (330, "I", (8,))]),
        "format_not_allowed",
        "sub-directory",
    ),
    "signed 16": (
        tiff(values(16), tags=[(339, "H", (2,))]),
        "unsupported_mode",
        "save unsigned 16 bits",
    ),
    "signed 16, MM": (
        tiff(values(16), order=">", tags=[(339, "H", (2,))]),
        "unsupported_mode",
        "save unsigned 16 bits",
    ),
    "signed 8": (tiff(GRAY, tags=[(339, "H", (2,))]), "unsupported_mode", "unsigned 8 bits"),
    "signed color": (
        tiff(values(16, 3), photometric=2, tags=[(339, "H", (2,) * 3)]),
        "unsupported_mode",
        "3 signed samples",
    ),
    "32 bits": (tiff(GRAY.astype(np.uint32)), "unsupported_mode", "32-bit values"),
    "float": (
        tiff(GRAY.astype(np.uint32), tags=[(339, "H", (3,))]),
        "unsupported_mode",
        "floating-point",
    ),
    "half float": (tiff(values(16), tags=[(339, "H", (3,))]), "unsupported_mode", "floating-point"),
    "five bands": (tiff(values(8, 5)), "unsupported_mode", "5 unsigned samples"),
    "LAB": (tiff(values(8, 3), photometric=8), "unsupported_mode", "save RGB"),
    "dark color in deflated planes": (
        tiff(values(12, 3), photometric=2, planar=2, compression=8),
        "unsupported_mode",
        "planes",
    ),
}


@pytest.mark.parametrize(("raw", "reason", "words"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_shown_is_refused_with_a_way_on(raw, reason, words):
    with pytest.raises(UndecodableImage) as caught:
        see(raw)
    assert caught.value.reason == reason
    assert words in caught.value.detail


def pnm(kind, stored, top, comment=b""):
    """Give a PBM, PGM or PPM: kinds 1 to 3 as text, 4 to 6 as bytes."""
    head = b"P%d\n%s%d %d\n" % (kind, comment, stored.shape[1], stored.shape[0])
    if kind not in (1, 4):
        head += b"%d\n" % top
    if kind < 4:
        return head + b"\n".join(b" ".join(b"%d" % each for each in row.ravel()) for row in stored)
    if kind == 4:
        return head + np.packbits(stored.astype(np.uint8), axis=1).tobytes()
    return head + stored.astype(">u2" if top > 255 else np.uint8).tobytes()


@pytest.mark.parametrize("comment", [b"", b"# drawn by hand <svg>\n"], ids=["plain", "comment"])
@pytest.mark.parametrize("top", [15, 100, 255, 1023, 4095, 65535])
@pytest.mark.parametrize("kind", [2, 5, 3, 6])
def test_pgm_and_ppm_are_scaled_by_their_maxval(kind, top, comment):
    stored = RNG.integers(0, top, (9, 11, 3) if kind in (3, 6) else (9, 11), endpoint=True)
    stored[0, 0] = top
    picture = see(pnm(kind, stored, top, comment))
    want = np.rint(stored * 255 / top).astype(np.uint8)
    assert np.array_equal(picture.pixels, want if want.ndim == 3 else expected(want, 255))
    assert (picture.format, picture.notes) == ("PPM", ())


@pytest.mark.parametrize("kind", [1, 4])
def test_pbm_has_black_at_1(kind):
    stored = RNG.integers(0, 2, (9, 11))
    assert np.array_equal(see(pnm(kind, stored, 1)).pixels, expected(1 - stored, 1))


@pytest.mark.parametrize("kind", [2, 3, 5, 6])
@pytest.mark.parametrize("top", [255, 4095, 65535])
def test_a_netpbm_that_is_cut_is_refused(kind, top):
    stored = RNG.integers(0, top, (9, 11, 3) if kind in (3, 6) else (9, 11), endpoint=True)
    with pytest.raises(UndecodableImage) as caught:
        see(pnm(kind, stored, top)[:-20])
    assert caught.value.reason == "truncated"


def bmp(color, alpha, header):
    """Give a BMP of 32 bits a pixel with a header of 40, 56, 108 or 124 bytes."""
    body = np.dstack([color[..., ::-1], alpha])[::-1].tobytes()
    masks = struct.pack("<IIII", 0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    head = struct.pack(
        "<IiiHHIIiiII",
        header,
        color.shape[1],
        color.shape[0],
        1,
        32,
        0 if header == 40 else 3,
        len(body),
        2835,
        2835,
        0,
        0,
    )
    head = (head + masks * (header > 40)).ljust(header, b"\0")
    start = 14 + len(head)
    return b"BM" + struct.pack("<IHHI", start + len(body), 0, 0, start) + head + body


def encode(kind, image, **options):
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


NOISE = values(8, 3)
ALPHAS = {
    **{f"BMP {header}": lambda a, h=header: bmp(NOISE, a, h) for header in (56, 108, 124)},
    "TIFF": lambda a: tiff(np.dstack([NOISE, a]), photometric=2, extra=(2,)),
    "TIFF, MM, deflated": lambda a: tiff(
        np.dstack([NOISE, a]), photometric=2, extra=(2,), order=">", compression=8
    ),
    "TIFF without ExtraSamples": lambda a: tiff(np.dstack([NOISE, a]), photometric=2),
    "PNG": lambda a: encode("PNG", Image.fromarray(np.dstack([NOISE, a]))),
    "WebP": lambda a: encode(
        "WEBP", Image.fromarray(np.dstack([NOISE, a])), lossless=True, exact=True
    ),
}


@pytest.mark.parametrize("value", [0, 1])
@pytest.mark.parametrize("make", ALPHAS.values(), ids=ALPHAS)
def test_alpha_that_hides_every_pixel_is_not_believed(make, value):
    picture = see(make(np.full((H, W), value, np.uint8)))
    assert np.array_equal(picture.pixels, NOISE)
    assert picture.notes == ("alpha_ignored",)


def test_multiplied_colors_over_an_alpha_of_0_are_read_as_they_are():
    raw = tiff(np.dstack([NOISE, np.zeros((H, W), np.uint8)]), photometric=2, extra=(1,))
    assert np.array_equal(see(raw).pixels, NOISE)


@pytest.mark.parametrize("make", ALPHAS.values(), ids=ALPHAS)
def test_alpha_that_hides_nearly_every_pixel_is_noted(make):
    alpha = np.zeros((H, W), np.uint8)
    alpha[5, 7:9] = 255
    picture = see(make(alpha))
    assert picture.notes == ("alpha", "alpha_hides")
    assert np.array_equal(picture.pixels[5, 7:9], NOISE[5, 7:9])
    assert picture.pixels.any(axis=2).sum() <= 2


def test_a_bmp_whose_fourth_byte_has_no_meaning_is_opaque():
    assert see(bmp(NOISE, np.zeros((H, W), np.uint8), 40)).notes == ()


EMPTY = {
    "PNG": lambda: encode("PNG", Image.new("RGBA", (40, 40))),
    "PNG, white beneath": lambda: encode("PNG", Image.new("RGBA", (40, 40), (255, 255, 255, 0))),
    "gray PNG": lambda: encode("PNG", Image.new("LA", (40, 40), (7, 0))),
    "WebP": lambda: encode("WEBP", Image.new("RGBA", (40, 40)), lossless=True),
    "GIF": lambda: encode("GIF", Image.new("P", (40, 40), 0), transparency=0),
    "PNG with a key": lambda: encode("PNG", Image.new("L", (40, 40), 9), transparency=9),
}


@pytest.mark.parametrize("make", EMPTY.values(), ids=EMPTY)
def test_where_nothing_is_to_be_seen_it_is_refused(make):
    with pytest.raises(UndecodableImage, match=r"^transparent: nothing is to be seen"):
        see(make())


def test_the_usual_white16_leaves_a_spec_as_it_was():
    spec = DecodeSpec(8, "squash", "bilinear", (0, 0, 0))
    assert "white16" not in spec.to_dict()
    assert DecodeSpec.from_dict(spec.to_dict()) == spec
    other = DecodeSpec(8, "squash", "bilinear", (0, 0, 0), 4095)
    assert other.to_dict()["white16"] == 4095
    assert DecodeSpec.from_dict(other.to_dict()) == other
