"""Texts as an SVG: signs in a grid, as on a terminal; those of East Asia take two columns.

A browser draws it, which has fonts for all scripts.
"""

from collections.abc import Iterable, Iterator
from unicodedata import combining, east_asian_width
from xml.sax.saxutils import escape

INK, PALE = "#1b2420", "#5a6a62"
COLUMN_PX, LINE_PX, FONT_PX = 7.2, 18, 12

_FONT = "ui-monospace,SFMono-Regular,Menlo,Consolas,monospace"


def svg(parts: Iterable[str], *, width: int, height: int) -> str:
    """Return an image of parts on white, sizes in pixels."""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
        f'height="{height}" font-family="{_FONT}" font-size="{FONT_PX}">'
        f'<rect width="{width}" height="{height}" fill="#fff"/>{"".join(parts)}</svg>'
    )


def run(text: str, left: float, top: float, *, color: str = INK, weight: int = 400) -> str:
    """Return a text in one line, as wide as its columns."""
    size = columns(text) * COLUMN_PX
    return (
        f'<text x="{left:.1f}" y="{top + 13:g}" fill="{color}" font-weight="{weight}" '
        f'textLength="{size:.1f}" lengthAdjust="spacingAndGlyphs" xml:space="preserve">'
        f"{escape(_safe(text))}</text>"
    )


def columns(text: str) -> int:
    """Return how many columns a text takes."""
    return sum(0 if combining(char) else 1 + (east_asian_width(char) in "WF") for char in text)


def folded(text: str, most: int) -> Iterator[str]:
    """Yield a text in parts of at most so many columns."""
    part, width = "", 0
    for char in text:
        size = columns(char)
        if part and width + size > most:
            yield part
            part, width = "", 0
        part += char
        width += size
    if part:
        yield part


def ended(text: str, most: int) -> str:
    """Return a text, or its end where it takes more columns: the end of a path tells most."""
    if columns(text) <= most:
        return text
    end = next(folded(text[::-1], most - 1))
    return f"…{end[::-1]}"


def wrapped(words: Iterable[str], most: int) -> Iterator[str]:
    """Yield lines of at most so many columns: white space between words is one of the words."""
    line, width = "", 0
    for word in words:
        for part in folded(word, most):
            size = columns(part)
            if width + size > most:
                yield line
                line, width = "", 0
            if line or not part.isspace():
                line += part
                width += size
    if line:
        yield line


def _safe(text: str) -> str:
    """Put a mark in the place of what XML does not allow."""
    return "".join(char if _is_xml(char) else "\ufffd" for char in text)


def _is_xml(char: str) -> bool:
    return ord(char) >= 32 and not "\ud800" <= char <= "\udfff" and char not in "\ufffe\uffff"
