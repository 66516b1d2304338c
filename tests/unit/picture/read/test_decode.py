"""The decoder gives the pixels a person would see, in 8 bits, whatever the file's own layout."""

import io
import struct

import numpy as np
import pytest
from PIL import Image, ImageCms

from pipeline.picture.read.decode import (
    NOTES,
    DecodeSpec,
    decode,
    decode_each,
    open_picture,
    resize,
)
from pipeline.picture.read.spec import UndecodableImage

RED, GREEN, BLUE, BLACK, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (0, 0, 0), (255,) * 3
CORNERS = np.array([[RED, GREEN, WHITE], [BLUE, BLACK, WHITE]], dtype=np.uint8)
"""Two rows of three pixels: no turn or mirror image of it equals it."""


def encode(image, kind="PNG", **options):
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def see(raw, background=BLACK, animated="first"):
    return open_picture(raw, background=background, max_pixels=10_000, animated=animated)


def spec(size_px=4, how="squash", interpolation="bilinear", background=BLACK):
    return DecodeSpec(size_px, how, interpolation, background)


def noise(*shape):
    return np.random.default_rng(7).integers(0, 256, shape, dtype=np.uint8)


UPRIGHT = {
    1: CORNERS,
    2: CORNERS[:, ::-1],
    3: CORNERS[::-1, ::-1],
    4: CORNERS[::-1],
    5: CORNERS.transpose(1, 0, 2),
    6: CORNERS.transpose(1, 0, 2)[:, ::-1],
    7: CORNERS.transpose(1, 0, 2)[::-1, ::-1],
    8: CORNERS.transpose(1, 0, 2)[::-1],
}


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", UPRIGHT)
def test_exif_orientation_is_applied_first(orientation, kind):
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if kind == "WEBP" else {}
    picture = see(encode(Image.fromarray(CORNERS), kind, exif=exif, **options))
    assert np.array_equal(picture.pixels, UPRIGHT[orientation])
    assert (picture.height, picture.width) == UPRIGHT[orientation].shape[:2]


@pytest.mark.parametrize("orientation", UPRIGHT)
def test_jpeg_orientation_turns_the_tensor_too(orientation):
    tall = np.zeros((48, 96, 3), dtype=np.uint8)
    tall[:24, :48] = 255
    exif = Image.Exif()
    exif[0x0112] = orientation
    planes = decode(encode(Image.fromarray(tall), "JPEG", exif=exif), spec(2))
    bright = {
        1: (0, 0),
        2: (0, 1),
        3: (1, 1),
        4: (1, 0),
        5: (0, 0),
        6: (0, 1),
        7: (1, 1),
        8: (1, 0),
    }
    assert np.unravel_index(planes[0].argmax(), (2, 2)) == bright[orientation]


def test_an_unknown_orientation_changes_nothing():
    exif = Image.Exif()
    exif[0x0112] = 9
    assert np.array_equal(see(encode(Image.fromarray(CORNERS), exif=exif)).pixels, CORNERS)


def test_broken_exif_is_noted_and_the_pixels_are_kept():
    raw = encode(Image.fromarray(CORNERS), "WEBP", lossless=True, exif=b"Exif\0\0II*\0\xff\xff")
    picture = see(raw)
    assert np.array_equal(picture.pixels, CORNERS)
    assert picture.notes == ("metadata",)


GRAY16 = np.array([[0, 128, 129], [257 * 100, 65534, 65535]], dtype=np.uint16)
GRAY8 = np.array([[0, 0, 1], [100, 255, 255]], dtype=np.uint8)


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_16_bit_gray_is_scaled_and_rounded_not_clipped(kind):
    picture = see(encode(Image.fromarray(GRAY16), kind))
    assert picture.source_mode == "I;16"
    assert np.array_equal(picture.pixels, np.repeat(GRAY8[:, :, None], 3, axis=2))
    assert picture.notes == ()


def test_big_endian_16_bit_gray_is_scaled_likewise():
    raw = encode(Image.fromarray(GRAY16.astype(">u2")), "TIFF")
    assert np.array_equal(see(raw).pixels[:, :, 1], GRAY8)


def test_every_16_bit_value_goes_to_the_nearest_8_bit_value():
    values = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    got = open_picture(
        encode(Image.fromarray(values)), background=BLACK, max_pixels=65536, animated="first"
    ).pixels[:, :, 0]
    assert np.array_equal(got, np.rint(values / 257).astype(np.uint8))


def test_16_bit_gray_turns_with_its_exif_orientation():
    exif = Image.Exif()
    exif[0x0112] = 6
    picture = see(encode(Image.fromarray(GRAY16), exif=exif))
    assert np.array_equal(picture.pixels[:, :, 0], GRAY8.T[:, ::-1])


def test_12_bit_data_in_16_bits_is_noted():
    picture = see(encode(Image.fromarray(np.full((2, 2), 4095, dtype=np.uint16))))
    assert picture.notes == ("gray16_dark",)
    assert picture.pixels.max() == 16


def tiff_12_bit(values):
    """Pack a row of an even number of 12-bit values into an uncompressed TIFF."""
    packed = b"".join(
        bytes((a >> 4, (a & 15) << 4 | b >> 8, b & 255))
        for a, b in zip(values[::2], values[1::2], strict=True)
    )
    tags = [
        (256, 3, len(values)),
        (257, 3, 1),
        (258, 3, 12),
        (259, 3, 1),
        (262, 3, 1),
        (273, 4, 200),
        (277, 3, 1),
        (278, 3, 1),
        (279, 4, len(packed)),
    ]
    entries = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in tags)
    head = b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + b"\0" * 4
    return head.ljust(200, b"\0") + packed


def test_a_tiff_of_12_bits_is_scaled_by_its_own_range():
    picture = see(tiff_12_bit([0, 4095, 2048, 16]))
    assert picture.pixels[0, :, 0].tolist() == [0, 255, 128, 1]


def test_1_bit_becomes_black_and_white():
    bits = Image.fromarray(np.array([[0, 255], [255, 0]], dtype=np.uint8)).convert("1")
    picture = see(encode(bits))
    assert picture.source_mode == "1"
    assert picture.pixels[:, :, 2].tolist() == [[0, 255], [255, 0]]


def test_a_palette_gives_its_colors():
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 200, 100, 50])
    image.putdata([1, 0])
    assert see(encode(image)).pixels.tolist() == [[[200, 100, 50], [10, 20, 30]]]


@pytest.mark.parametrize("transparency", [0, b"\0\xff"], ids=["index", "bytes"])
def test_transparent_palette_entries_show_the_background(transparency):
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 200, 100, 50])
    image.putdata([1, 0])
    picture = see(encode(image, transparency=transparency), background=(1, 2, 3))
    assert picture.pixels.tolist() == [[[200, 100, 50], [1, 2, 3]]]
    assert picture.notes == ("alpha",)


@pytest.mark.parametrize(
    ("mode", "pixel", "expected"),
    [
        ("RGBA", (200, 100, 50, 4), (13, 21, 30)),
        ("RGBA", (200, 100, 50, 255), (200, 100, 50)),
        ("RGBA", (200, 100, 50, 51), (48, 36, 34)),
        ("LA", (200, 51), (48, 56, 64)),
        ("LA", (200, 255), (200, 200, 200)),
    ],
    ids=["nearly clear", "opaque", "fifth", "gray fifth", "gray opaque"],
)
def test_alpha_is_composited_on_the_background(mode, pixel, expected):
    raw = encode(Image.new(mode, (1, 1), pixel))
    picture = see(raw, background=(10, 20, 30))
    assert picture.pixels[0, 0].tolist() == list(expected)
    assert picture.notes == (() if pixel[-1] == 255 else ("alpha",))


@pytest.mark.parametrize(
    ("mode", "color", "key"), [("RGB", (9, 8, 7), (9, 8, 7)), ("L", 9, 9)], ids=["RGB", "gray"]
)
def test_a_transparent_color_key_shows_the_background(mode, color, key):
    image = Image.new(mode, (2, 1), color)
    image.putpixel((1, 0), 200 if mode == "L" else (200, 200, 200))
    picture = see(encode(image, transparency=key), background=(10, 20, 30))
    assert picture.pixels.tolist() == [[[10, 20, 30], [200, 200, 200]]]


def test_cmyk_jpeg_as_adobe_writes_it_has_the_right_colors():
    image = Image.new("CMYK", (16, 16), (0, 255, 255, 0))
    raw = encode(image, "JPEG", quality=100)
    assert b"Adobe" in raw
    picture = see(raw)
    assert picture.source_mode == "CMYK"
    assert np.abs(picture.pixels[8, 8].astype(int) - RED).max() <= 2


def test_gray_jpeg_has_three_equal_channels():
    picture = see(encode(Image.fromarray(noise(16, 16)), "JPEG"))
    assert picture.source_mode == "L"
    assert (picture.pixels == picture.pixels[:, :, :1]).all()


def wide_gamut_profile():
    """An RGB profile whose red and green are swapped against sRGB's: conversion must show."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    count = struct.unpack(">I", profile[128:132])[0]
    entries = {bytes(profile[132 + 12 * i : 136 + 12 * i]): 132 + 12 * i for i in range(count)}
    red, green = entries[b"rXYZ"], entries[b"gXYZ"]
    profile[red + 4 : red + 12], profile[green + 4 : green + 12] = (
        profile[green + 4 : green + 12],
        profile[red + 4 : red + 12],
    )
    at, size = struct.unpack(">II", profile[entries[b"desc"] + 4 : entries[b"desc"] + 12])
    name = "sRGB".encode("utf-16-be")
    text = bytes(profile[at : at + size]).replace(name, "test".encode("utf-16-be"))
    profile[at : at + size] = text
    return bytes(profile)


def test_an_embedded_profile_is_converted_to_srgb():
    raw = encode(Image.new("RGB", (2, 2), (200, 0, 0)), icc_profile=wide_gamut_profile())
    picture = see(raw)
    assert picture.notes == ("icc_converted",)
    assert np.abs(picture.pixels[0, 0].astype(int) - (0, 200, 0)).max() <= 2


def test_alpha_survives_the_color_conversion():
    image = Image.new("RGBA", (2, 2), (200, 0, 0, 0))
    image.putpixel((1, 1), (200, 0, 0, 255))
    raw = encode(image, icc_profile=wide_gamut_profile())
    picture = see(raw, background=(1, 2, 3))
    assert picture.notes == ("alpha", "icc_converted")
    assert picture.pixels[0, 0].tolist() == [1, 2, 3]


def test_an_srgb_profile_changes_no_pixel():
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    picture = see(encode(Image.fromarray(CORNERS), icc_profile=profile))
    assert np.array_equal(picture.pixels, CORNERS)
    assert picture.notes == ()


@pytest.mark.parametrize("space", ["", "LAB"], ids=["garbage", "LAB"])
def test_an_unusable_profile_is_ignored_and_noted(space):
    profile = b"no profile at all"
    if space:
        profile = ImageCms.ImageCmsProfile(ImageCms.createProfile(space)).tobytes()
    picture = see(encode(Image.fromarray(CORNERS), icc_profile=profile))
    assert np.array_equal(picture.pixels, CORNERS)
    assert picture.notes == ("icc_ignored",)


ANIMATED = ["GIF", "PNG", "WEBP", "TIFF", "AVIF"]


def animation(kind):
    frames = [Image.new("RGB", (32, 32), color) for color in (RED, GREEN, BLUE)]
    options = {"lossless": True} if kind == "WEBP" else {}
    return encode(frames[0], kind, save_all=True, append_images=frames[1:], **options)


@pytest.mark.parametrize("kind", ANIMATED)
def test_of_several_frames_the_first_is_taken_and_noted(kind):
    picture = see(animation(kind))
    assert picture.frames == 3
    assert picture.notes == ("animated",)
    assert np.abs(picture.pixels[5, 5].astype(int) - RED).max() <= 4


@pytest.mark.parametrize("kind", ANIMATED)
def test_several_frames_can_be_rejected(kind):
    with pytest.raises(UndecodableImage) as caught:
        see(animation(kind), animated="reject")
    assert caught.value.reason == "animated"
    assert "3 frames" in caught.value.detail


def test_previews_in_a_phone_picture_are_no_frames():
    large, small = (Image.fromarray(noise(side, side, 3)) for side in (32, 16))
    raw = encode(large, "MPO", save_all=True, append_images=[small])
    assert see(raw, animated="reject").frames == 1


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "AVIF"])
def test_all_allowed_formats_are_read(kind):
    picture = see(encode(Image.new("RGB", (20, 10), (200, 100, 50)), kind))
    assert picture.format == kind
    assert picture.pixels.shape == (10, 20, 3)
    assert np.abs(picture.pixels[5, 5].astype(int) - (200, 100, 50)).max() <= 6


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_trailing_bytes_are_noted(kind):
    picture = see(encode(Image.fromarray(noise(16, 16, 3)), kind) + b"and more")
    assert picture.notes == ("trailing_bytes",)


def test_every_note_is_documented():
    assert all(NOTES.values())
    assert list(NOTES) == sorted(NOTES)


class TestPixelHash:
    def test_it_ignores_the_container(self):
        image = Image.fromarray(noise(8, 8, 3))
        assert see(encode(image)).pixel_hash == see(encode(image, "BMP")).pixel_hash

    def test_it_ignores_metadata(self):
        exif = Image.Exif()
        exif[0x010F] = "a camera"
        image = Image.fromarray(CORNERS)
        assert see(encode(image)).pixel_hash == see(encode(image, exif=exif)).pixel_hash

    @pytest.mark.parametrize(
        ("one", "other"),
        [
            (Image.new("L", (2, 8)), Image.new("L", (4, 4))),
            (Image.new("L", (4, 4)), Image.new("RGB", (4, 4))),
            (Image.new("L", (4, 4)), Image.new("L", (4, 4), 1)),
        ],
        ids=["shape", "mode", "pixels"],
    )
    def test_it_tells_apart(self, one, other):
        assert see(encode(one)).pixel_hash != see(encode(other)).pixel_hash

    def test_it_sees_the_palette(self):
        hashes = set()
        for color in ((1, 2, 3), (4, 5, 6)):
            image = Image.new("P", (4, 4))
            image.putpalette(color)
            hashes.add(see(encode(image)).pixel_hash)
        assert len(hashes) == 2

    def test_it_sees_what_is_transparent(self):
        image = Image.new("L", (4, 4), 9)
        image.putpixel((0, 0), 10)
        hashes = {see(encode(image, transparency=key)).pixel_hash for key in (9, 10)}
        assert len(hashes) == 2

    def test_it_is_taken_after_turning(self):
        exif = Image.Exif()
        exif[0x0112] = 6
        turned = np.ascontiguousarray(CORNERS.transpose(1, 0, 2)[:, ::-1])
        upright = see(encode(Image.fromarray(turned)))
        assert see(encode(Image.fromarray(CORNERS), exif=exif)).pixel_hash == upright.pixel_hash


SHAPES = [(30, 50, 3), (50, 30, 3), (30, 50), (7, 5), (1, 40, 3), (64, 64)]


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic", "lanczos"])
@pytest.mark.parametrize("how", ["squash", "crop", "center", "pad"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_decode_equals_opening_and_resizing_to_the_bit(shape, how, interpolation):
    raw = encode(Image.fromarray(noise(*shape)))
    wanted = spec(16, how, interpolation, background=(9, 8, 7))
    planes = decode(raw, wanted)
    assert planes.shape == (3, 16, 16)
    assert planes.dtype == np.uint8
    assert planes.flags.c_contiguous
    assert np.array_equal(planes, resize(see(raw).pixels, wanted))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_decoding_once_for_several_specs_equals_decoding_for_each(shape):
    raw = encode(Image.fromarray(noise(*shape)))
    specs = [spec(size, how) for how in ("squash", "crop", "center", "pad") for size in (8, 16)]
    for planes, each in zip(decode_each(raw, specs), specs, strict=True):
        assert np.array_equal(planes, decode(raw, each))


def test_specs_with_another_background_are_not_decoded_together():
    raw = encode(Image.fromarray(noise(8, 8, 4)))
    with pytest.raises(ValueError, match="one background"):
        decode_each(raw, [spec(8), spec(8, background=(9, 8, 7))])


def test_squash_keeps_nothing_out():
    left_white = np.zeros((8, 4), dtype=np.uint8)
    left_white[:, :2] = 255
    planes = decode(encode(Image.fromarray(left_white)), spec(2))
    assert planes[0, :, 0].min() > 200
    assert planes[0, :, 1].max() < 55


@pytest.mark.parametrize("shape", [(4, 12), (12, 4)], ids=["wide", "tall"])
def test_crop_takes_the_center_square_alone(shape):
    pixels = np.full(shape, 255, dtype=np.uint8)
    pixels[tuple(slice((side - 4) // 2, (side + 4) // 2) for side in shape)] = 7
    assert (decode(encode(Image.fromarray(pixels)), spec(8, "crop")) == 7).all()


def test_center_keeps_seven_eighths_of_the_shorter_side():
    pixels = np.full((24, 16), 255, dtype=np.uint8)
    pixels[5:19, 1:15] = 7
    assert (decode(encode(Image.fromarray(pixels)), spec(8, "center")) == 7).all()


def test_pad_keeps_the_shape_and_fills_with_the_background():
    raw = encode(Image.new("L", (16, 8), 200))
    planes = decode(raw, spec(4, "pad", background=(1, 2, 3)))
    assert planes[:, 0, 0].tolist() == [1, 2, 3]
    assert planes[:, 3, 3].tolist() == [1, 2, 3]
    assert (planes[:, 1:3] == 200).all()


@pytest.mark.parametrize(("width", "lines"), [(64, 1), (63, 1), (42, 2), (26, 2), (25, 3)])
def test_pad_rounds_the_shorter_side_to_the_nearest_pixel(width, lines):
    planes = decode(encode(Image.new("L", (width, 8), 200)), spec(8, "pad"))
    assert (planes[0, :, 0] == 200).sum() == lines


def test_pad_of_an_extreme_shape_leaves_one_line():
    planes = decode(encode(Image.new("L", (1000, 1), 200)), spec(9, "pad"))
    assert (planes[0, 4] == 200).all()
    assert planes.astype(int).sum() == 3 * 9 * 200


def test_shrinking_is_antialiased():
    stripes = np.tile(np.array([0, 255], dtype=np.uint8), (64, 32))
    assert np.abs(decode(encode(Image.fromarray(stripes)), spec(4)).astype(int) - 127).max() < 15


def test_a_spec_survives_json():
    wanted = spec(224, "pad", "lanczos", (1, 2, 3))
    assert DecodeSpec.from_dict(wanted.to_dict()) == wanted


@pytest.mark.parametrize(
    "change",
    [{"resize": "stretch"}, {"interpolation": "nearest"}, {"background": [1, 2]}, {"size_px": "x"}],
    ids=str,
)
def test_a_foreign_spec_is_refused(change):
    with pytest.raises(ValueError):
        DecodeSpec.from_dict(spec().to_dict() | change)


def test_no_exif_reaches_the_tensor():
    exif = Image.Exif()
    exif[0x010F] = "SECRETCAMERA"
    raw = encode(Image.fromarray(noise(16, 16, 3)), "JPEG", exif=exif)
    assert b"SECRETCAMERA" in raw
    assert b"SECRETCAMERA" not in decode(raw, spec(16)).tobytes()
