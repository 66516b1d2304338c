"""The model card as one page: nothing in it is loaded from anywhere, and it runs no script."""

import base64

from pipeline.explain.card import Card
from pipeline.explain.sheets import legend_strip
from pipeline.pages.template import render
from pipeline.picture.read.spec import Pixels
from pipeline.picture.show.preview import encode_jpeg, shrink

_SIDE_PX = 176
_MAX_BYTES = 12_000
_PAIRS = 4
"""Of each part of a sheet; the sheets hold more."""

_SHEETS = 6


def card_page(card: Card) -> str:
    """Return the page as HTML."""
    return render(
        "explain/card.html",
        card=card,
        sheets=_SHEETS,
        pairs=_PAIRS,
        legend=lambda: _data("jpeg", encode_jpeg(legend_strip(), _MAX_BYTES)),
        jpeg=_jpeg,
        png=lambda file: _data("png", file.read_bytes()),
    )


def _jpeg(pixels: Pixels) -> str:
    return _data("jpeg", encode_jpeg(shrink(pixels, _SIDE_PX), _MAX_BYTES))


def _data(kind: str, content: bytes) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}"
