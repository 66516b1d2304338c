"""The pictures of the cleaning report: made small once, put into the page as text."""

import base64
import math
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path

from pipeline.clean.page.samples import Row
from pipeline.compute.engine import MachineParams, map_in_order
from pipeline.picture.read.probe import Limits
from pipeline.picture.show.preview import encode_jpeg, shrink
from pipeline.picture.show.tile import pixels_of, read_item

Previews = Mapping[str, str]
"""Path -> a data address; what is not in it has no picture."""

_SIDE_PX = 160
_MAX_BYTES = 9_000
_MAX_DECODED_PX = 1_000_000_000
"""Pixels that are decoded for one page, some ten seconds' work; beyond it pictures are left out."""

_FEW_PX = 50_000_000
"""So many are decoded sooner than other processes have started."""


def make_previews(
    raw: Path, rows: Iterable[Row], limits: Limits, machine: MachineParams
) -> Previews:
    """Decode the pictures of rows, the first of them where they are too much work in all."""
    todo: dict[str, int] = {}
    total = 0
    for row in rows:
        size = int(row.get("width") or 0) * int(row.get("height") or 0)
        is_picture = bool(row.get("mode")) and row["path"] not in todo
        if is_picture and total + size <= _MAX_DECODED_PX:
            todo[row["path"]] = size
            total += size
    workers = machine if total > _FEW_PX else machine.model_copy(update={"workers": 1})
    made = map_in_order(partial(_preview, raw, limits), list(todo), workers, title="report")
    return {path: address for path, address in zip(todo, made, strict=True) if address}


def _preview(raw: Path, limits: Limits, path: str) -> str | None:
    """Make one picture small; None where it is no longer what was probed."""
    pixels = pixels_of(read_item(raw, path), limits)
    if pixels is None:
        return None
    # A strip of 2 x 4000 pixels shows nothing when it is shrunk as a whole: show its middle.
    longest, shortest = max(pixels.shape[:2]), min(pixels.shape[:2])
    if longest > 8 * shortest:
        start, length = (longest - 8 * shortest) // 2, math.ceil(8 * shortest)
        span = slice(start, start + length)
        pixels = pixels[span] if pixels.shape[0] == longest else pixels[:, span]
    encoded = encode_jpeg(shrink(pixels, _SIDE_PX), _MAX_BYTES)
    return f"data:image/jpeg;base64,{base64.b64encode(encoded).decode('ascii')}"
