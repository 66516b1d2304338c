"""Sheets of pictures with heat on them.

Axes: H and W pixels.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from pipeline.ground.plots import PALE, as_rgb, drawn, printable


def heat_sheet(
    parts: Sequence[tuple[str, Sequence[tuple[np.ndarray, np.ndarray, str]]]],
    *,
    title: str,
    legend: tuple[np.ndarray, str],
) -> np.ndarray:
    """Draw pictures beside the same with heat on them, in titled parts: uint8 [H, W, 3].

    Args:
        parts: A title, and for each picture: it, it with heat, and a caption of up to two lines.
        title: Above the sheet.
        legend: A strip of colors from cold to hot, uint8 [H, W, 3], and what it means.
    """
    columns = 4
    rows = [max(1, math.ceil(len(pairs) / columns)) for _, pairs in parts]
    heights = [height for count in rows for height in (0.34, *[1.72] * count)]
    with drawn((2.62 * columns, 0.5 + sum(heights) + 0.5)) as figure:
        figure.suptitle(printable(title), x=0.01, ha="left", fontsize=13, fontweight="bold")
        grid = figure.add_gridspec(len(heights) + 1, columns, height_ratios=[*heights, 0.34])
        line = 0
        for (name, pairs), count in zip(parts, rows, strict=True):
            head = figure.add_subplot(grid[line, :])
            head.set_axis_off()
            head.text(0.0, 0.35, printable(name), fontsize=11, fontweight="bold", va="center")
            if not pairs:
                body = figure.add_subplot(grid[line + 1, :])
                body.set_axis_off()
                body.text(0.0, 0.9, "none", color=PALE, va="top")
            for place, (plain, hot, caption) in enumerate(pairs):
                axes = figure.add_subplot(grid[line + 1 + place // columns, place % columns])
                gap = np.full((len(plain), max(2, len(plain) // 40), 3), 255, dtype=np.uint8)
                axes.imshow(np.concatenate([as_rgb(plain), gap, hot], axis=1))
                axes.set_axis_off()
                axes.set_title(
                    printable(caption), fontsize=8, fontweight="normal", loc="left", pad=3
                )
            line += count + 1
        foot = figure.add_subplot(grid[line, 0])
        foot.imshow(legend[0], aspect="auto")
        foot.set_axis_off()
        text = figure.add_subplot(grid[line, 1:])
        text.set_axis_off()
        text.text(0.0, 0.5, printable(legend[1]), fontsize=9, va="center")
        canvas: Any = figure.canvas
        canvas.draw()
        return np.asarray(canvas.buffer_rgba())[:, :, :3].copy()
