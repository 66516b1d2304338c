"""Texts with marked words as images: an SVG for a page, whose browser has fonts for all scripts.

Signs stand in a grid, as on a terminal: those of East Asia take two columns.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from unicodedata import combining, east_asian_width
from xml.sax.saxutils import escape

import numpy as np

from pipeline.ground.plots import COLORS
from pipeline.pages.sources import inline
from pipeline.text.explain.occlusion import Weighed
from pipeline.text.explain.words import Span

FOR, AGAINST = COLORS[0], COLORS[1]
COLUMNS = 32
MOST_LINES = 14
DARKEST = 0.7
"""Share of the color behind the word with the largest weight."""

_FONT = "ui-monospace,SFMono-Regular,Menlo,Consolas,monospace"
_COLUMN_PX, _LINE_PX, _FONT_PX = 7.2, 18, 12
_INK = "#1b2420"


@dataclass(frozen=True)
class Mark:
    """A piece of a line.

    Attributes:
        text: What stands there.
        column: Where it begins.
        width: In columns.
        share: Of a color behind it, in -1..1: above 0 it speaks for the answer.
    """

    text: str
    column: int
    width: int
    share: float


def lay_out(weighed: Weighed) -> list[list[Mark]]:
    """Return the lines of a text; of a long one the first, and `…`."""
    largest = float(np.abs(weighed.weights_W).max(initial=0.0)) or 1.0
    lines: list[list[Mark]] = [[]]
    column = 0
    for (start, end), share in _pieces(weighed.spans, weighed.weights_W / largest, weighed.text):
        for part in _folded(weighed.text[start:end], COLUMNS):
            width = _width(part)
            if column + width > COLUMNS:
                lines.append([])
                column = 0
            if not (part.isspace() and column == 0):
                lines[-1].append(Mark(part, column, width, share))
                column += width
    if len(lines) <= MOST_LINES:
        return lines
    return [*lines[: MOST_LINES - 1], [Mark("…", 0, 1, 0.0)]]


def svg(weighed: Weighed) -> str:
    """Return a text with marks as the source of an image."""
    lines = lay_out(weighed)
    width, height = round(COLUMNS * _COLUMN_PX + 12), len(lines) * _LINE_PX + 10
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
        f'height="{height}" font-family="{_FONT}" font-size="{_FONT_PX}">'
        f'<rect width="{width}" height="{height}" fill="#fff"/>'
    ]
    for number, line in enumerate(lines):
        for mark in line:
            left, size = 6 + mark.column * _COLUMN_PX, mark.width * _COLUMN_PX
            top = 5 + number * _LINE_PX
            if mark.share:
                parts.append(
                    f'<rect x="{left:.1f}" y="{top + 1}" width="{size:.1f}" '
                    f'height="{_LINE_PX - 2}" rx="3" fill="{FOR if mark.share > 0 else AGAINST}" '
                    f'fill-opacity="{DARKEST * abs(mark.share):.2f}"/>'
                )
            parts.append(
                f'<text x="{left:.1f}" y="{top + 13}" fill="{_INK}" textLength="{size:.1f}" '
                f'lengthAdjust="spacingAndGlyphs" xml:space="preserve">{escape(_safe(mark.text))}'
                "</text>"
            )
    return inline("image/svg+xml", "".join([*parts, "</svg>"]).encode())


def strip() -> str:
    """Return the colors as the source of an image: from against to for."""
    ends = "".join(
        f'<stop offset="{place}" stop-color="{color}" stop-opacity="{share}"/>'
        for place, color, share in ((0, AGAINST, DARKEST), (0.5, "#fff", 1), (1, FOR, DARKEST))
    )
    content = (
        '<svg xmlns="http://www.w3.org/2000/svg" width="256" height="16">'
        f'<linearGradient id="a">{ends}</linearGradient><rect width="256" height="16" fill="#fff"/>'
        '<rect width="256" height="16" fill="url(#a)"/></svg>'
    )
    return inline("image/svg+xml", content.encode())


def _pieces(spans: Sequence[Span], shares: np.ndarray, text: str) -> Iterator[tuple[Span, float]]:
    """Yield words, and what stands between them, in order."""
    at = 0
    for (start, end), share in zip(spans, shares, strict=True):
        if at < start:
            yield (at, start), 0.0
        yield (start, end), round(float(share), 2)
        at = end
    if at < len(text):
        yield (at, len(text)), 0.0


def _folded(text: str, columns: int) -> Iterator[str]:
    """Yield a text in parts that fit a line."""
    part = ""
    for char in text:
        if part and _width(part + char) > columns:
            yield part
            part = ""
        part += char
    if part:
        yield part


def _width(text: str) -> int:
    return sum(0 if combining(char) else 1 + (east_asian_width(char) in "WF") for char in text)


def _safe(text: str) -> str:
    """Leave out what XML does not allow."""
    return "".join(char for char in text if ord(char) >= 32 and ord(char) not in (0xFFFE, 0xFFFF))
