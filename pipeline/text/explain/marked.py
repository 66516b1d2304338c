"""Texts with marked words as images."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.ground.plots import COLORS
from pipeline.pages.sources import inline
from pipeline.text.explain.occlusion import Weighed
from pipeline.text.explain.words import Span
from pipeline.text.show.grid import COLUMN_PX, LINE_PX, columns, folded, run, svg

FOR, AGAINST = COLORS[0], COLORS[1]
COLUMNS = 32
MOST_LINES = 14
DARKEST = 0.7
"""Share of the color behind the word with the largest weight."""


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
        for part in folded(weighed.text[start:end], COLUMNS):
            width = columns(part)
            if column + width > COLUMNS:
                lines.append([])
                column = 0
            if not (part.isspace() and column == 0):
                lines[-1].append(Mark(part, column, width, share))
                column += width
    if len(lines) <= MOST_LINES:
        return lines
    return [*lines[: MOST_LINES - 1], [Mark("…", 0, 1, 0.0)]]


def source(weighed: Weighed) -> str:
    """Return a text with marks as the source of an image."""
    lines = lay_out(weighed)
    width, height = round(COLUMNS * COLUMN_PX + 12), len(lines) * LINE_PX + 10
    drawn = svg(draw(lines, 6, 5), width=width, height=height)
    return inline("image/svg+xml", drawn.encode())


def draw(lines: Sequence[Sequence[Mark]], left_px: float, top_px: float) -> Iterator[str]:
    """Yield the parts of an SVG that show lines."""
    for number, line in enumerate(lines):
        for mark in line:
            left, size = left_px + mark.column * COLUMN_PX, mark.width * COLUMN_PX
            top = top_px + number * LINE_PX
            if mark.share:
                yield (
                    f'<rect x="{left:.1f}" y="{top + 1}" width="{size:.1f}" '
                    f'height="{LINE_PX - 2}" rx="3" fill="{FOR if mark.share > 0 else AGAINST}" '
                    f'fill-opacity="{DARKEST * abs(mark.share):.2f}"/>'
                )
            yield run(mark.text, left, top)


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
