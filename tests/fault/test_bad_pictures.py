"""Every bad picture is an answer with a reason code of the manifest, and never an exception."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from pipeline.clean.probe_item import probe_item
from pipeline.manifest.manifest import reasons
from pipeline.picture.read.probe import Limits

REASONS = reasons("picture")

LIMITS = Limits(max_pixels=100_000, animated="reject")
NOISE = np.random.default_rng(0).integers(0, 256, (64, 48, 3), dtype=np.uint8)


def encoded(kind, array=NOISE, **options):
    stream = io.BytesIO()
    Image.fromarray(array).save(stream, kind, **options)
    return stream.getvalue()


def frames(kind):
    first, *rest = (Image.fromarray(np.full((9, 9, 3), n, np.uint8)) for n in (0, 90, 180))
    stream = io.BytesIO()
    first.save(stream, kind, save_all=True, append_images=rest)
    return stream.getvalue()


def flipped(raw, place):
    return raw[:place] + bytes([raw[place] ^ 0xFF]) + raw[place + 1 :]


def giant_header(width, height):
    chunks = (
        b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0),
        b"IDAT" + zlib.compress(bytes(1000)),
        b"IEND",
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
        for chunk in chunks
    )


JPEG, PNG = encoded("JPEG"), encoded("PNG")

BAD = {
    "zero-bytes": (b"", "empty"),
    "html": (b"<!DOCTYPE html><html><p>404", "not_image"),
    "json": (b'{"error": 404}', "not_image"),
    "text": (b"no picture at all\n", "not_image"),
    "lfs-pointer": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "not_image"),
    "random-bytes": (bytes(range(256)) * 4, "not_image"),
    "jpeg-cut-in-half": (JPEG[: len(JPEG) // 2], "truncated"),
    "jpeg-header-only": (JPEG[:20], "damaged"),
    "png-cut-in-half": (PNG[: len(PNG) // 2], "truncated"),
    "png-without-end": (PNG[:-12], "truncated"),
    "png-wrong-checksum": (flipped(PNG, len(PNG) // 2), "damaged"),
    "bomb": (giant_header(30_000, 30_000), "too_large"),
    "over-the-limit": (encoded("PNG", np.zeros((400, 251), np.uint8)), "too_large"),
    "float-tiff": (encoded("TIFF", np.ones((9, 9), np.float32)), "unsupported_mode"),
    "svg": (b'<svg xmlns="http://www.w3.org/2000/svg"/>', "format_not_allowed"),
    "pdf": (b"%PDF-1.4\n%", "format_not_allowed"),
    "postscript": (b"%!PS-Adobe-3.0 EPSF-3.0\n", "format_not_allowed"),
    "heic": (b"\0\0\0\x18ftypheic\0\0\0\0heicmif1", "format_not_allowed"),
    "animated-gif": (frames("GIF"), "animated"),
    "pages-of-a-tiff": (frames("TIFF"), "animated"),
}


@pytest.mark.parametrize(("raw", "reason"), BAD.values(), ids=BAD)
def test_each_has_its_reason(tmp_path, raw, reason):
    (tmp_path / "x.jpg").write_bytes(raw)
    probe = probe_item(tmp_path, LIMITS, "x.jpg")
    assert probe.reason == reason, probe.detail
    assert reason in REASONS
    assert probe.detail
    assert len(probe.id) == 64
    assert probe.content_hash is None
    assert probe.facts == ()


def test_damage_anywhere_is_an_answer(tmp_path):
    random = np.random.default_rng(1)
    for raw in (JPEG, PNG, encoded("GIF"), encoded("TIFF"), encoded("WEBP"), encoded("BMP")):
        for _ in range(15):
            damaged = bytearray(raw)
            for place in random.integers(0, len(raw), 8):
                damaged[place] = random.integers(0, 256)
            (tmp_path / "x").write_bytes(damaged[: random.integers(1, len(raw) + 1)])
            probe = probe_item(tmp_path, LIMITS, "x")
            assert probe.reason is None or probe.reason in REASONS
