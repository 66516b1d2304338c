"""Texts with captions in a grid, as an SVG: a sheet of what people should look at."""

import re
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from pipeline.ground.files import replacing
from pipeline.ground.limits import SHEET_LIMIT
from pipeline.text.read.plain import plain
from pipeline.text.show.grid import COLUMN_PX, INK, LINE_PX, PALE, ended, run, svg, wrapped

_PER_ROW = 4
_COLUMNS, _LINES = 32, 8
_CELL_PX = round(_COLUMNS * COLUMN_PX) + 24
_PAD_PX = 12
_MOST_CHARS = 4 * _COLUMNS * _LINES
_WORDS = re.compile(r"\s+|[^\s\u3040-\u30ff\u3400-\u9fff]+|.")
"""White space, a word, or a sign of Han or Kana."""


class _Line(NamedTuple):
    text: str
    color: str
    weight: int = 400


def text_sheet(
    path: Path, cells: Sequence[tuple[Sequence[str | None], str]], *, title: str, empty: str
) -> None:
    """Write texts in a grid.

    Args:
        path: The SVG to write.
        cells: A text or two that belong together, None for what cannot be shown; and a caption.
            After `SHEET_LIMIT` of them the rest is only counted.
        title: Above the sheet.
        empty: The words if there are none.
    """
    if len(cells) > SHEET_LIMIT:
        title += f" (the first {SHEET_LIMIT} of {len(cells)})"
    parts = [run(title, _PAD_PX, 8, weight=700)]
    if not cells:
        parts.append(run(empty, _PAD_PX, 40, color=PALE))
    top, shown = 40, [_cell(*each) for each in cells[:SHEET_LIMIT]]
    for start in range(0, len(shown), _PER_ROW):
        row = shown[start : start + _PER_ROW]
        for place, lines in enumerate(row):
            left = _PAD_PX + place * _CELL_PX
            parts += [
                run(line.text, left, top + at * LINE_PX, color=line.color, weight=line.weight)
                for at, line in enumerate(lines)
            ]
        top += LINE_PX * (1 + max(map(len, row)))
    width, height = _PAD_PX + _PER_ROW * _CELL_PX, max(top, 72)
    with replacing(path) as scratch:
        scratch.write_text(svg(parts, width=width, height=height), encoding="utf-8")


def _cell(texts: Sequence[str | None], caption: str) -> list[_Line]:
    """Return the lines of a cell: the caption, and the beginning of each text."""
    lines = [_Line(ended(each, _COLUMNS), PALE, 700) for each in caption.split("\n")]
    for number, text in enumerate(texts):
        if number:
            lines.append(_Line("─" * _COLUMNS, PALE))
        shown = "" if text is None else plain(text)
        if not shown:
            lines.append(_Line("no text can be shown", PALE))
            continue
        words = _WORDS.findall(shown[:_MOST_CHARS])
        own = list(islice(wrapped(words, _COLUMNS), _LINES + 1))
        if len(own) > _LINES:
            own[_LINES - 1 :] = ["…"]
        lines += [_Line(each, INK) for each in own]
    return lines
