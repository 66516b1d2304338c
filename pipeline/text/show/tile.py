"""The tile that stands for a text on a sheet of items: its beginning, or plain gray."""

import numpy as np

from pipeline.ground.plots import text_tile
from pipeline.store.shards import Array
from pipeline.text.read.plain import UndecodableText, decode, plain

SIDE_PX = 256
_GRAY = 190


def tile(text: str | None, *, side_px: int = SIDE_PX) -> Array:
    """Draw a text, uint8 [`side_px`, `side_px`, 3]; plain gray for None, or where nothing shows."""
    shown = "" if text is None else plain(text)
    if not shown:
        return np.full((side_px, side_px, 3), _GRAY, dtype=np.uint8)
    return text_tile(shown, side_px=side_px)


def text_of(content: bytes | None) -> str | None:
    """Return the text of an item's bytes; None where there are none, or they are no text."""
    try:
        return None if content is None else decode(content)
    except UndecodableText:
        return None
