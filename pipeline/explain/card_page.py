"""The model card as one page: nothing in it is loaded from anywhere, and it runs no script."""

from pipeline.explain.card import Card
from pipeline.pages.sources import inline
from pipeline.pages.template import render

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
        png=lambda file: inline("image/png", file.read_bytes()),
    )
