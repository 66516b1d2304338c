"""Sheets of texts with marked words."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipeline.ground.plots import PALE, figure_file, printable
from pipeline.text.explain.marked import AGAINST, COLUMNS, DARKEST, FOR, Mark

Tile = tuple[Sequence[Sequence[Mark]], str]
"""The lines of a text, and its caption."""

_PER_ROW = 4
_WIDTH_IN, _LINE_IN, _FONT_PT = 3.05, 0.17, 9.8
_LEGEND = "blue: speaks for the answer that the model gave; orange: against it"
_FAMILY = "DejaVu Sans Mono"


def word_sheet(path: Path, parts: Sequence[tuple[str, Sequence[Tile]]], *, title: str) -> None:
    """Draw texts in titled parts as a PNG.

    Args:
        path: The file.
        parts: A title, and the texts.
        title: Above the sheet.
    """
    rows: list[tuple[str, Sequence[Tile]]] = []
    for name, tiles in parts:
        rows.append((name, ()))
        count = math.ceil(len(tiles) / _PER_ROW)
        rows += [("", tiles[at * _PER_ROW : (at + 1) * _PER_ROW]) for at in range(count)]
    heights = [0.3 if name else 0.35 + _LINE_IN * _lines(tiles) for name, tiles in rows]
    with figure_file(path, (_PER_ROW * _WIDTH_IN, 0.7 + sum(heights))) as figure:
        figure.suptitle(printable(title), x=0.01, ha="left", fontsize=13, fontweight="bold")
        grid = figure.add_gridspec(len(rows), _PER_ROW, height_ratios=heights)
        for line, (name, tiles) in enumerate(rows):
            if name:
                head = figure.add_subplot(grid[line, :])
                head.set_axis_off()
                head.text(0.0, 0.35, printable(name), fontsize=11, fontweight="bold", va="center")
            for place, (marks, caption) in enumerate(tiles):
                axes = figure.add_subplot(grid[line, place])
                axes.set_title(
                    printable(caption), fontsize=8, fontweight="normal", loc="left", pad=3
                )
                _draw(axes, marks, _lines(tiles))
        figure.supxlabel(_LEGEND, fontsize=9, color=PALE, x=0.01, ha="left")


def _lines(tiles: Sequence[Tile]) -> int:
    return max((2, *(len(marks) for marks, _ in tiles)))


def _draw(axes: Any, lines: Sequence[Sequence[Mark]], height: int) -> None:
    axes.set_axis_off()
    for number, line in enumerate(lines):
        for mark in line:
            color = FOR if mark.share > 0 else AGAINST
            middle, alpha = number + 0.5, DARKEST * abs(mark.share)
            axes.barh(middle, mark.width, 0.9, mark.column, color=color, alpha=alpha, lw=0)
            axes.text(
                mark.column,
                middle,
                printable(mark.text, _FAMILY),
                family=_FAMILY,
                fontsize=_FONT_PT,
                va="center_baseline",
                clip_on=True,
            )
    axes.set(xlim=(0, COLUMNS), ylim=(height, 0))
