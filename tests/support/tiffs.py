"""TIFF files written by hand: layouts that no library here writes."""

import struct
import zlib

import numpy as np

_KINDS = {"B": 1, "H": 3, "I": 4}


def pack_bits(values, bits):
    """Give rows of samples of so many bits each, every row filled to a whole byte."""
    rows = values.reshape(len(values), -1).astype(np.uint32)
    places = np.arange(bits - 1, -1, -1)
    flags = ((rows[..., None] >> places) & 1).astype(np.uint8).reshape(len(rows), -1)
    return np.packbits(flags, axis=1).tobytes()


def packbits(content):
    """Compress as PackBits does, in runs of literal bytes."""
    parts = [content[at : at + 128] for at in range(0, len(content), 128)]
    return b"".join(bytes([len(part) - 1]) + part for part in parts)


COMPRESSIONS = {1: bytes, 8: zlib.compress, 32773: packbits}


def tiff(
    values,
    *,
    photometric=1,
    bits=None,
    order="<",
    compression=1,
    strips=1,
    tile=None,
    planar=1,
    extra=(),
    tags=(),
    sub=(),
):
    """Give a TIFF of one page.

    Args:
        values: [H, W] or [H, W, C], of an unsigned type.
        photometric: Tag 262; None leaves it out.
        bits: Of a sample; packed where they are no whole bytes. None: as the type has.
        order: `<` or `>`.
        compression: 1, 8 (deflate) or 32773 (PackBits).
        strips: Number of strips, each of as many rows.
        tile: Side of square tiles instead of strips.
        planar: 2 puts channel after channel.
        extra: Tag 338.
        tags: Further tags, as (number, letter of struct, values).
        sub: Pages that follow, each as the arguments of this function.
    """
    first = {
        "values": values,
        "photometric": photometric,
        "bits": bits,
        "compression": compression,
        "strips": strips,
        "tile": tile,
        "planar": planar,
        "extra": extra,
        "tags": tags,
    }
    content = bytearray(b"II*\0" if order == "<" else b"MM\0*") + bytes(4)
    last = 4
    for page in (first, *sub):
        at = _page(content, order, **page)
        content[last : last + 4] = struct.pack(order + "I", at)
        last = len(content) - 4
    return bytes(content)


def _page(
    content,
    order,
    values,
    *,
    photometric=1,
    bits=None,
    compression=1,
    strips=1,
    tile=None,
    planar=1,
    extra=(),
    tags=(),
):
    cube = values[..., None] if values.ndim == 2 else values
    height, width, channels = cube.shape
    bits = bits or values.dtype.itemsize * 8
    layers = [cube] if planar == 1 else [cube[..., [each]] for each in range(channels)]
    blocks = [block for layer in layers for block in _blocks(layer, strips, tile)]
    pieces = []
    for block in blocks:
        is_whole = bits in (8, 16, 32)
        raw = (
            block.astype(block.dtype.newbyteorder(order)).tobytes()
            if is_whole
            else pack_bits(block, bits)
        )
        pieces.append(COMPRESSIONS[compression](raw))
    offsets = []
    for piece in pieces:
        offsets.append(len(content))
        content += piece + b"\0" * (len(piece) % 2)
    sizes = [len(piece) for piece in pieces]
    entries = [
        (256, "I", (width,)),
        (257, "I", (height,)),
        (258, "H", (bits,) * channels),
        (259, "H", (compression,)),
        (277, "H", (channels,)),
        (284, "H", (planar,)),
    ]
    if photometric is not None:
        entries.append((262, "H", (photometric,)))
    if extra:
        entries.append((338, "H", tuple(extra)))
    if tile:
        entries += [
            (322, "I", (tile,)),
            (323, "I", (tile,)),
            (324, "I", offsets),
            (325, "I", sizes),
        ]
    else:
        entries += [(273, "I", offsets), (278, "I", (-(-height // strips),)), (279, "I", sizes)]
    entries += list(tags)
    return _folder(content, order, sorted(entries, key=lambda each: each[0]))


def _blocks(layer, strips, tile):
    height, width, _ = layer.shape
    if tile is None:
        rows = -(-height // strips)
        return [layer[at : at + rows] for at in range(0, height, rows)]
    padded = np.zeros(
        (-(-height // tile) * tile, -(-width // tile) * tile, layer.shape[2]), layer.dtype
    )
    padded[:height, :width] = layer
    places = [range(0, side, tile) for side in padded.shape[:2]]
    return [padded[y : y + tile, x : x + tile] for y in places[0] for x in places[1]]


def _folder(content, order, entries):
    lines = b""
    for number, letter, values in entries:
        if isinstance(values, bytes):
            kind, n, packed = 2, len(values), values
        else:
            kind, n = _KINDS[letter], len(values)
            packed = struct.pack(f"{order}{n}{letter}", *values)
        if len(packed) > 4:
            at = len(content)
            content += packed + b"\0" * (len(packed) % 2)
            packed = struct.pack(order + "I", at)
        lines += struct.pack(order + "HHI", number, kind, n) + packed.ljust(4, b"\0")
    at = len(content)
    content += struct.pack(order + "H", len(entries)) + lines + bytes(4)
    return at
