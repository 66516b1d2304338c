"""First predictions of a version, before it takes requests: is it enough to compute what was asked?

A batch that is not filled up costs a fraction of a full one. On most machines it gives the same
bits; where a library chooses other kernels by the size of a batch, bf16 may differ visibly.
"""

import random
import struct
import zlib
from collections.abc import Sequence
from typing import Any

Row = dict[str, Any]

TOLERANCE = 1e-5
"""Largest difference to a full batch, a tenth of what answers may differ from the evaluation."""

_SIDE = 96


def sample_pictures(count: int) -> list[bytes]:
    """Return PNG files of gray noise, the same ones every time."""
    return [_encode(random.Random(number).randbytes(_SIDE * _SIDE)) for number in range(count)]


def _encode(pixels: bytes) -> bytes:
    lines = b"".join(b"\0" + pixels[at : at + _SIDE] for at in range(0, len(pixels), _SIDE))
    header = struct.pack(">IIBBBBB", _SIDE, _SIDE, 8, 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(lines)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, content) for kind, content in chunks)


def _chunk(kind: bytes, content: bytes) -> bytes:
    checksum = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)


def largest_difference(rows: Sequence[Row], others: Sequence[Row]) -> float:
    """Return the largest difference of a probability, or of a value relative to its size."""
    differences = [
        abs(value - other[name]) / max(1.0, abs(value))
        for row, other in zip(rows, others, strict=True)
        for name, value in row.items()
        if isinstance(value, float)
    ]
    return max(differences, default=0.0)
