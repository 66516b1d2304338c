"""How long texts are, drawn."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pipeline.ground.plots import add_legend, colors, figure_file, printable

_BINS = 40


def length_histograms(path: Path, lengths: Mapping[str, npt.NDArray[np.int64]], title: str) -> None:
    """Draw how many tokens texts have, one line for each split.

    Args:
        path: The PNG to write.
        lengths: Of each split's texts; a split without any is left out.
        title: Above the panel.
    """
    longest = max((int(each.max()) for each in lengths.values() if len(each)), default=1)
    edges = np.unique(np.geomspace(1, longest + 1, _BINS + 1).round())
    with figure_file(path, (6.4, 3.4)) as figure:
        axes = figure.add_subplot()
        axes.set_title(printable(title))
        for color, (split, each) in zip(colors(), lengths.items(), strict=False):
            if len(each):
                counts, _ = np.histogram(each, edges)
                axes.stairs(counts / len(each), edges, color=color, label=printable(split))
        axes.set_xscale("log", base=2)
        axes.set_xlabel("tokens")
        axes.set_ylabel("share of texts")
        add_legend(axes)
