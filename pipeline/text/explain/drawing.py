"""Sheets of texts with marked words."""

from collections.abc import Sequence
from pathlib import Path

from pipeline.ground.files import replacing
from pipeline.text.explain.marked import COLUMNS, Mark, draw
from pipeline.text.show.grid import COLUMN_PX, LINE_PX, PALE, run, svg

Tile = tuple[Sequence[Sequence[Mark]], str]
"""The lines of a text, and its caption."""

_PER_ROW = 4
_CELL_PX = round(COLUMNS * COLUMN_PX) + 24
_PAD_PX = 12
_LEGEND = "blue: speaks for the answer that the model gave; orange: against it"


def word_sheet(path: Path, parts: Sequence[tuple[str, Sequence[Tile]]], *, title: str) -> None:
    """Write texts in titled parts as an SVG.

    Args:
        path: The file.
        parts: A title, and the texts.
        title: Above the sheet.
    """
    drawn = [run(title, _PAD_PX, 8, weight=700), run(_LEGEND, _PAD_PX, 8 + LINE_PX, color=PALE)]
    top = 8 + 3 * LINE_PX
    for name, tiles in parts:
        drawn.append(run(name, _PAD_PX, top, weight=700))
        top += round(1.5 * LINE_PX)
        for start in range(0, len(tiles), _PER_ROW):
            row = tiles[start : start + _PER_ROW]
            for place, (lines, caption) in enumerate(row):
                left = _PAD_PX + place * _CELL_PX
                drawn.append(run(caption, left, top, color=PALE))
                drawn += draw(lines, left, top + LINE_PX)
            top += LINE_PX * (2 + max(len(lines) for lines, _ in row))
    width = _PAD_PX + _PER_ROW * _CELL_PX
    with replacing(path) as scratch:
        scratch.write_text(svg(drawn, width=width, height=top), encoding="utf-8")
