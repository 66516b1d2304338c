"""A broken or hostile file never crashes the decoder nor gives half a picture: it gets a reason."""

import io
import pickle
import struct
import threading
import zlib

import numpy as np
import pytest
from PIL import Image

from pipeline.manifest.manifest import reasons
from pipeline.picture.read.decode import DecodeSpec, decode, open_picture
from pipeline.picture.read.spec import UndecodableImage
from pipeline.raw.sniff import sniff

REASONS = reasons("picture")

NOISE = np.random.default_rng(3).integers(0, 256, (48, 64, 3), dtype=np.uint8)
SPEC = DecodeSpec(8, "squash", "bilinear", (0, 0, 0))


def encode(kind, array=NOISE, **options):
    stream = io.BytesIO()
    Image.fromarray(array).save(stream, kind, **options)
    return stream.getvalue()


def chunk(kind, content):
    checksum = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)


def png(width, height, *extra):
    """A PNG whose header may promise anything; `extra` chunks stand before the pixels."""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    body = chunk(b"IDAT", zlib.compress(b"\0" * (3 * 16 + 1) * 16))
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(extra) + body + chunk(b"IEND", b"")


def tiff(array, tags):
    stream = io.BytesIO()
    Image.fromarray(array).save(stream, "TIFF", tiffinfo=tags)
    return stream.getvalue()


def giant_tiles():
    """A TIFF of 16 x 16 pixels in one tile that would unpack to 3.6 GB."""
    tags = [
        (256, 16),
        (257, 16),
        (258, 8),
        (259, 5),
        (262, 1),
        (277, 1),
        (322, 60_000),
        (323, 60_000),
        (324, 150),
        (325, 100),
    ]
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    return (b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries).ljust(250, b"\0")


def flip(raw, at):
    return raw[:at] + bytes([raw[at] ^ 0x10]) + raw[at + 1 :]


JPEG, PNG, GIF, WEBP, TIFF, BMP, AVIF = map(
    encode, ("JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP", "AVIF")
)
LARGE_TEXT = b"k\0\0" + zlib.compress(b"a" * 80_000_000)
IDAT = PNG.index(b"IDAT")

CASES = {
    "no bytes": (b"", "empty"),
    "HTML": (b"<!DOCTYPE html><html>404</html>", "not_image"),
    "JSON": (b'{"error": "not found"}', "not_image"),
    "text": (b"hello", "not_image"),
    "text like BMP": (b"BMW is a car", "not_image"),
    "git-LFS": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "not_image"),
    "zip": (b"PK\x03\x04" + bytes(99), "not_image"),
    "zeros": (bytes(300), "not_image"),
    "SVG": (b'<?xml version="1.0"?><svg xmlns="http://x"/>', "format_not_allowed"),
    "EPS": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "format_not_allowed"),
    "PDF": (b"%PDF-1.7\n", "format_not_allowed"),
    "HEIC": (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(80), "format_not_allowed"),
    "JPEG 2000": (encode("JPEG2000"), "format_not_allowed"),
    "PAM": (b"P7\nWIDTH 2\nHEIGHT 2\n", "format_not_allowed"),
    "PFM": (b"PF\n2 2\n-1.0\n" + bytes(48), "format_not_allowed"),
    "PPM cut": (encode("PPM")[:-9], "truncated"),
    "CR2": (b"II*\0\x10\0\0\0CR\x02\0" + bytes(80), "format_not_allowed"),
    "DNG": (tiff(NOISE, {50706: b"\1\4\0\0"}), "format_not_allowed"),
    "preview TIFF": (tiff(NOISE, {254: 1, 271: "X", 330: 8}), "format_not_allowed"),
    "thumbnail of a TIFF": (tiff(NOISE, {254: 1, 330: 8}), "format_not_allowed"),
    "PNG bomb": (png(60_000, 60_000), "too_large"),
    "PNG bomb that Pillow only warns of": (png(12_000, 12_000), "too_large"),
    "TIFF with giant tiles": (giant_tiles(), "too_large"),
    "just over the limit": (png(1001, 1000), "too_large"),
    "zero width": (png(0, 16), "damaged"),
    "zTXt bomb": (png(16, 16, chunk(b"zTXt", LARGE_TEXT)), "damaged"),
    "zTXt bomb at the end": (PNG[:-12] + chunk(b"zTXt", LARGE_TEXT) + PNG[-12:], "damaged"),
    "ICC bomb": (png(16, 16, chunk(b"iCCP", LARGE_TEXT)), "damaged"),
    "JPEG cut in half": (JPEG[: len(JPEG) // 2], "truncated"),
    "JPEG without its end": (JPEG[:-2], "truncated"),
    "JPEG header only": (JPEG[:200], "truncated"),
    "JPEG marker only": (JPEG[:3], "damaged"),
    "JPEG with a broken table": (flip(JPEG, JPEG.index(b"\xff\xc4") + 5), "damaged"),
    "PNG cut in half": (PNG[: len(PNG) // 2], "truncated"),
    "PNG without its end": (PNG[:-12], "truncated"),
    "PNG signature only": (PNG[:8], "damaged"),
    "PNG checksum of the header": (flip(PNG, 20), "damaged"),
    "PNG checksum of the pixels": (flip(PNG, IDAT + 40), "damaged"),
    "PNG checksum itself": (flip(PNG, len(PNG) - 13), "damaged"),
    "GIF cut": (GIF[:300], "damaged"),
    "WEBP cut": (WEBP[:300], "damaged"),
    "TIFF cut": (TIFF[:500], "truncated"),
    "BMP cut": (BMP[:500], "truncated"),
    "AVIF cut": (AVIF[:300], "damaged"),
    "float TIFF": (encode("TIFF", np.ones((40, 40), np.float32)), "unsupported_mode"),
    "int32 TIFF": (encode("TIFF", np.ones((40, 40), np.int32)), "unsupported_mode"),
}


@pytest.mark.parametrize(("raw", "reason"), CASES.values(), ids=CASES)
def test_each_has_its_reason(raw, reason):
    with pytest.raises(UndecodableImage) as caught:
        open_picture(raw, background=(0, 0, 0), max_pixels=1_000_000, animated="first")
    assert caught.value.reason == reason
    assert "0x" not in caught.value.detail, "an address would differ from run to run"


@pytest.mark.parametrize(
    ("raw", "reason"),
    [case for name, case in CASES.items() if "limit" not in name],
    ids=[name for name in CASES if "limit" not in name],
)
def test_prediction_refuses_the_same(raw, reason):
    with pytest.raises(UndecodableImage) as caught:
        decode(raw, SPEC, max_pixels=1_000_000)
    assert caught.value.reason == reason


def test_every_reason_is_documented():
    assert {reason for _, reason in CASES.values()} | {"animated"} <= set(REASONS)


def test_a_picture_of_exactly_the_limit_is_taken():
    picture = open_picture(PNG, background=(0, 0, 0), max_pixels=48 * 64, animated="reject")
    assert picture.pixels.shape == (48, 64, 3)


def test_a_wrong_extension_does_not_matter_and_the_true_format_is_told():
    picture = open_picture(PNG, background=(0, 0, 0), max_pixels=9999, animated="first")
    assert picture.format == "PNG"


@pytest.mark.parametrize("raw", [JPEG, PNG, GIF, BMP, WEBP, TIFF, AVIF], ids=lambda raw: raw[:4])
def test_random_damage_gives_a_picture_or_a_known_reason(raw):
    rng = np.random.default_rng(len(raw))
    seen = set()
    for round_ in range(120):
        broken = bytearray(raw)
        reach = len(raw) if round_ % 2 else 100
        for at in rng.integers(0, reach, size=3):
            broken[at] = rng.integers(0, 256)
        try:
            planes = decode(bytes(broken), SPEC, max_pixels=100_000)
        except UndecodableImage as error:
            assert error.reason in REASONS
            seen.add(error.reason)
        else:
            assert planes.shape == (3, 8, 8)
    assert "damaged" in seen or "not_image" in seen


@pytest.mark.parametrize("raw", [JPEG, PNG, BMP, TIFF], ids=lambda raw: raw[:4])
def test_no_prefix_of_a_file_gives_a_picture(raw):
    for length in range(0, len(raw) - 2, max(1, len(raw) // 60)):
        with pytest.raises(UndecodableImage):
            decode(raw[:length], SPEC)


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF"])
def test_frames_that_are_cut_anywhere_are_an_answer(kind):
    first, *rest = (Image.fromarray(NOISE[:9, 9 * n : 9 * n + 9]) for n in range(3))
    stream = io.BytesIO()
    first.save(stream, kind, save_all=True, append_images=rest)
    raw = stream.getvalue()
    for length in range(len(raw)):
        try:
            open_picture(raw[:length], background=(0, 0, 0), max_pixels=999, animated="first")
        except UndecodableImage as error:
            assert error.reason in REASONS


def test_damaged_metadata_are_noted_and_not_shouted():
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "x" * 99
    raw = encode("WEBP", exif=exif)
    at = raw.index(b"EXIF") + 8
    at += 6 if raw[at : at + 4] == b"Exif" else 0
    broken = raw[: at + 8] + b"\x7f\x00" + raw[at + 10 :]  # the number of entries
    picture = open_picture(broken, background=(0, 0, 0), max_pixels=9999, animated="first")
    assert "metadata" in picture.notes


def test_a_failure_leaves_nothing_behind():
    before = decode(JPEG, SPEC)
    with pytest.raises(UndecodableImage):
        decode(JPEG[: len(JPEG) // 2], SPEC)
    assert np.array_equal(decode(JPEG, SPEC), before)


def test_a_refusal_crosses_processes():
    error = pickle.loads(pickle.dumps(UndecodableImage("damaged", "why")))
    assert (error.reason, error.detail) == ("damaged", "why")


def test_threads_decode_side_by_side():
    expected = decode(JPEG, SPEC)
    results = []
    threads = [
        threading.Thread(target=lambda: results.extend(decode(JPEG, SPEC) for _ in range(20)))
        for _ in range(4)
    ]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert len(results) == 80
    assert all(np.array_equal(each, expected) for each in results)


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (b"\xef\xbb\xbf\n <HTML><body>", "an HTML page"),
        (b"version https://git-lfs.github.com/spec/v1", "a git-LFS pointer (run `git lfs pull`)"),
        (b"[1, 2]", "a JSON file"),
        (b"<?xml version='1.0'?><a/>", "an XML file"),
        ("größe".encode(), "a text file"),
        (("é" * 600).encode()[:1023], "a text file"),
        (
            bytes(128) + b"DICM",
            "a DICOM file (export its picture as PNG of 16 bits, as by `dcm2img`)",
        ),
        (b"\x93NUMPY\1\0", "a numpy array"),
        (b"\0\0\0\x18ftypisom", "a video"),
        (JPEG, None),
        (AVIF, None),
        (b"\x80\x02}q\0", None),
        (b"", None),
    ],
    ids=lambda value: repr(value)[:24],
)
def test_files_are_named_by_their_first_bytes(head, name):
    assert sniff(head) == name
