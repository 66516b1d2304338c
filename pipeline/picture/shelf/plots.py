"""The distribution of pixel values, drawn.

Axes: C color channels.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from pipeline.ground.plots import add_legend, colors, figure_file, printable


def channel_histograms(
    path: Path,
    counts: Mapping[str, np.ndarray],
    title: str,
    *,
    values: np.ndarray | None = None,
    xlabel: str = "pixel value",
) -> None:
    """Draw the distribution of each color channel, one line for each split.

    Args:
        path: The PNG to write.
        counts: For each split, the number of values in each bin: [C, bins], C at least 1. A split
            without any values is left out.
        title: Above the panels.
        values: [C, bins], the x position of every bin after normalization; the bin's number if
            absent.
        xlabel: What the x positions are.
    """
    channels = max([1, *(len(table) for table in counts.values())])
    names = ("red", "green", "blue") if channels == 3 else tuple(map(str, range(channels)))
    with figure_file(path, (9.6, 3.4)) as figure:
        figure.suptitle(printable(title), x=0.02, ha="left", fontsize=12, fontweight="bold")
        for channel, name in enumerate(names):
            axes = figure.add_subplot(1, channels, channel + 1)
            for color, (split, table) in zip(colors(), counts.items(), strict=False):
                row = np.asarray(table[channel], dtype=np.float64)
                if row.sum() > 0:
                    x = np.arange(len(row)) if values is None else values[channel]
                    axes.plot(x, row / row.sum(), color=color, lw=1.4, label=printable(split))
            axes.set_title(name, fontsize=10.5, fontweight="normal")
            axes.set_xlabel(xlabel)
            axes.set_ylim(bottom=0.0)
            if channel == 0:
                axes.set_ylabel("share of pixels")
                add_legend(axes)
