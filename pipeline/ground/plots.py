"""Pictures of results: arrays in, one PNG file out. The only home of matplotlib.

Figures are drawn off screen, without pyplot and its list of open figures. The style is set for the
time of one drawing; a user's own matplotlibrc changes nothing. Equal arguments give equal bytes.

Axes: K classes, H = height, W = width.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, get_font

from pipeline.ground.files import replacing
from pipeline.ground.limits import SHEET_LIMIT

Curve = tuple[np.ndarray, np.ndarray]
"""The x and y values of a line, of equal length."""

INK, PALE, GRID = "#2f3640", "#8a939e", "#e4e7eb"
COLORS = ("#2f6db3", "#d9822b", "#3f9a68", "#b8434e", "#7a5ba6", "#3fa3b5", "#8c6d46", "#cf6fa3")

_SHEET_COLUMNS = 8
_GAP_PX = 4
_WHITE = 255
_SANS = "DejaVu Sans"
_CAPTION_CHARS = 23
_LEGEND_LIMIT = len(COLORS)
_ANNOTATED_CLASSES = 12
_TICKED_CLASSES = 40
_DPI = 120
_KEPT = ("backend", "backend_fallback", "interactive", "toolbar", "timezone")

_STYLE: dict[str, Any] = {
    "font.family": _SANS,
    "font.size": 10.5,
    "axes.titlesize": 12,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 10,
    "axes.edgecolor": PALE,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": GRID,
    "grid.linewidth": 0.9,
    "lines.linewidth": 2.0,
    "legend.edgecolor": "none",
    "legend.framealpha": 0.85,
    "text.color": INK,
    "text.parse_math": False,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.labelsize": 9.5,
    "ytick.labelsize": 9.5,
}


def contact_sheet(
    path: Path, tiles: Sequence[tuple[np.ndarray, str]], *, title: str, empty: str = "none"
) -> None:
    """Draw tiles in a grid, each with its caption.

    Args:
        path: The PNG to write.
        tiles: uint8 [H, W, 3] or [H, W] of any size, and a caption of up to three lines. After
            `SHEET_LIMIT` of them the rest is only counted.
        title: Above the sheet.
        empty: The text if there are none.
    """
    shown = tiles[:SHEET_LIMIT]
    if len(shown) < len(tiles):
        title += f" (the first {len(shown)} of {len(tiles)})"
    columns = min(_SHEET_COLUMNS, max(4, len(shown)))
    rows = max(1, math.ceil(len(shown) / columns))
    lines = max([1, *(caption.count("\n") + 1 for _, caption in shown)])
    cell_in = 1.45 + 0.16 * min(lines, 3)
    with figure_file(path, (1.5 * columns + 0.3, cell_in * rows + 0.6)) as figure:
        figure.suptitle(printable(title), x=0.02, ha="left", fontsize=12, fontweight="bold")
        if not shown:
            figure.text(0.5, 0.4, empty, ha="center", color=PALE)
        for place, (tile, caption) in enumerate(shown):
            axes = figure.add_subplot(rows, columns, place + 1)
            axes.imshow(as_rgb(tile), interpolation="antialiased", aspect="equal")
            axes.set_title(
                _caption(caption), fontsize=7.5, fontweight="normal", loc="center", pad=4
            )
            axes.set_axis_off()


def side_by_side(tiles: Sequence[np.ndarray]) -> np.ndarray:
    """Put tiles, uint8 [H, W, 3], side by side on white, at the top."""
    if len(tiles) == 1:
        return tiles[0]
    height = max(len(each) for each in tiles)
    gap = np.full((height, _GAP_PX, 3), _WHITE, dtype=np.uint8)
    parts = [gap] * (2 * len(tiles) - 1)
    below = ((0, 0), (0, 0))
    parts[::2] = [
        np.pad(each, ((0, height - len(each)), *below), constant_values=_WHITE) for each in tiles
    ]
    return np.concatenate(parts, axis=1)


def confusion_matrix(
    path: Path, counts_KK: np.ndarray, *, classes: Sequence[str], title: str
) -> None:
    """Draw a confusion matrix: actual classes are rows, colors are shares of a row.

    Args:
        path: The PNG to write.
        counts_KK: Whole numbers; row = actual, column = predicted.
        classes: The names of the K classes, in the matrix's order.
        title: Above the matrix.
    """
    size_in = min(11.0, 3.4 + 0.75 * len(classes))
    share_KK = counts_KK / np.maximum(counts_KK.sum(axis=1, keepdims=True), 1)
    with figure_file(path, (size_in + 0.9, size_in)) as figure:
        axes = figure.add_subplot()
        drawn = axes.imshow(share_KK, cmap="Blues", vmin=0.0, vmax=1.0)
        figure.colorbar(drawn, ax=axes, label="share of the actual class", shrink=0.85)
        axes.grid(visible=False)
        axes.set(xlabel="predicted", ylabel="actual")
        axes.set_title(printable(title))
        _class_ticks(axes, classes)
        if len(classes) <= _ANNOTATED_CLASSES:
            for (row, column), share in np.ndenumerate(share_KK):
                axes.text(
                    column,
                    row,
                    f"{int(counts_KK[row, column])}\n{share:.1%}",
                    ha="center",
                    va="center",
                    color="white" if share > 0.55 else INK,
                )


def roc_curve(path: Path, curves: Mapping[str, Curve], *, title: str) -> None:
    """Draw true-positive over false-positive rates, one line for each name."""
    with _square(path, title) as axes:
        axes.plot([0, 1], [0, 1], color=PALE, lw=1.0, ls="--", label="chance")
        _draw_curves(axes, curves)
        axes.set(xlabel="false-positive rate", ylabel="true-positive rate")
        add_legend(axes, loc="lower right")


def log_roc_curve(path: Path, curves: Mapping[str, Curve], *, title: str) -> None:
    """Draw true-positive over false-positive rates on logarithmic axes; rates of 0 are left out."""
    with _square(path, title) as axes:
        lines = {
            name: (x[(x > 0) & (y > 0)], y[(x > 0) & (y > 0)]) for name, (x, y) in curves.items()
        }
        least = min(
            [0.1, *(float(ends.min()) for line in lines.values() for ends in line if len(ends))]
        )
        axes.plot([least, 1], [least, 1], color=PALE, lw=1.0, ls="--", label="chance")
        _draw_curves(axes, lines, drawstyle="steps-post")
        axes.set(xscale="log", yscale="log", xlim=(least, 1.0), ylim=(least, 1.05))
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter("{x:g}")
            axis.set_minor_formatter("")
        axes.set(xlabel="false-positive rate", ylabel="true-positive rate")
        add_legend(axes, loc="lower right")


def pr_curve(path: Path, curves: Mapping[str, Curve], *, title: str) -> None:
    """Draw precision over recall as steps, one line for each name."""
    with _square(path, title) as axes:
        _draw_curves(axes, curves, drawstyle="steps-post")
        axes.set(xlabel="recall", ylabel="precision")
        add_legend(axes, loc="lower left")


def reliability(
    path: Path, confidence: np.ndarray, accuracy: np.ndarray, *, count: np.ndarray, title: str
) -> None:
    """Draw accuracy over confidence, and below it how many items have which confidence.

    Args:
        path: The PNG to write.
        confidence: Mean confidence of each bin, in [0, 1]; bins cut [0, 1] into equal parts.
        accuracy: Share of right answers in each bin.
        count: Items in each bin; a bin without items is not drawn above.
        title: Above both panels.
    """
    edges = np.linspace(0.0, 1.0, len(count) + 1)
    filled = count > 0
    with figure_file(path, (5.6, 6.0)) as figure:
        top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(3.2, 1.0))
        top.plot([0, 1], [0, 1], color=PALE, lw=1.0, ls="--", label="perfectly calibrated")
        top.plot(
            confidence[filled], accuracy[filled], color=COLORS[0], marker="o", label="this model"
        )
        top.set(ylabel="share of right answers", xlim=(-0.01, 1.01), ylim=(-0.02, 1.02))
        top.set_title(printable(title))
        add_legend(top, loc="upper left")
        bottom.bar(edges[:-1], count, width=np.diff(edges) * 0.94, align="edge", color=COLORS[0])
        bottom.set(xlabel="confidence", ylabel="items")


def fold_scores(
    path: Path,
    scores: Mapping[str, Sequence[float]],
    *,
    means: Mapping[str, float],
    intervals: Mapping[str, tuple[float, float]],
) -> None:
    """Draw every fold's score as a dot, a row for each metric, with mean and interval."""
    with figure_file(path, (7.0, 0.9 + 0.42 * len(scores))) as figure:
        axes = figure.add_subplot()
        names = list(scores)
        for place, name in enumerate(names):
            low, high = intervals[name]
            axes.plot([low, high], [place, place], color=PALE, lw=5.0, solid_capstyle="round")
            axes.plot(scores[name], [place] * len(scores[name]), "o", ms=5, color=COLORS[0])
            axes.plot(means[name], place, "|", ms=18, mew=2.0, color=COLORS[1])
            axes.annotate(
                f"{means[name]:.4f}",
                (means[name], place),
                xytext=(0, 10),
                textcoords="offset points",
                ha="center",
                fontsize=8,
            )
        axes.set_yticks(range(len(names)), [printable(name) for name in names])
        axes.set_ylim(len(names) - 0.4, -0.7)
        axes.set_title("Folds (dots), mean (bar) and its 95 % interval")


def regression_scatter(
    path: Path, actual: np.ndarray, predicted: np.ndarray, *, target: str, title: str
) -> None:
    """Draw predicted over actual values, with the line on which both are equal."""
    both = np.concatenate([actual, predicted])
    low, high = (float(both.min()), float(both.max())) if len(both) else (0.0, 1.0)
    margin = 0.03 * (high - low or 1.0)
    ends = (low - margin, high + margin)
    with figure_file(path, (5.6, 5.4)) as figure:
        axes = figure.add_subplot()
        axes.plot(ends, ends, color=PALE, lw=1.0, ls="--")
        axes.scatter(actual, predicted, s=14, alpha=0.45, color=COLORS[0], edgecolors="none")
        axes.set(xlim=ends, ylim=ends, aspect="equal")
        axes.set_xlabel(printable(f"actual {target}"))
        axes.set_ylabel(printable(f"predicted {target}"))
        axes.set_title(printable(title))


@contextmanager
def drawn(size_in: tuple[float, float]) -> Iterator[Figure]:
    """Yield a figure in the house style, to be drawn within the block."""
    defaults: dict[Any, Any] = {
        key: mpl.rcParamsDefault[key] for key in mpl.rcParamsDefault if key not in _KEPT
    }
    with mpl.rc_context(defaults | _STYLE):
        figure = Figure(figsize=size_in, dpi=_DPI, layout="constrained")
        FigureCanvasAgg(figure)
        yield figure


@contextmanager
def figure_file(path: Path, size_in: tuple[float, float]) -> Iterator[Figure]:
    """Yield a figure in the house style; it is written to `path` when the block ends."""
    with drawn(size_in) as figure:
        yield figure
        with replacing(path) as scratch:
            figure.savefig(scratch, format="png", metadata={"Software": None})


@contextmanager
def _square(path: Path, title: str) -> Iterator[Axes]:
    with figure_file(path, (5.6, 5.4)) as figure:
        axes = figure.add_subplot()
        axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.02), aspect="equal")
        axes.set_title(printable(title))
        yield axes


def _draw_curves(axes: Axes, curves: Mapping[str, Curve], **style: Any) -> None:
    many = len(curves) > _LEGEND_LIMIT
    for color, (name, (x, y)) in zip(colors(), curves.items(), strict=False):
        label = None if many else printable(name)
        axes.plot(x, y, color=color, lw=0.8 if many else 2.0, label=label, **style)


def _class_ticks(axes: Axes, classes: Sequence[str]) -> None:
    if len(classes) > _TICKED_CLASSES:
        return
    names = [shorten(printable(name), 18) for name in classes]
    slant = 0 if len(classes) <= 3 else 45
    axes.set_xticks(range(len(classes)), names, rotation=slant, ha="right" if slant else "center")
    axes.set_yticks(range(len(classes)), names)


def add_legend(axes: Axes, loc: Any = "best") -> None:
    """Add a legend where something has a name."""
    if axes.get_legend_handles_labels()[1]:
        axes.legend(loc=loc, fontsize=9.5)


def colors() -> Iterator[str]:
    """Yield the house's colors without end."""
    while True:
        yield from COLORS


def as_rgb(tile: np.ndarray) -> np.ndarray:
    """Return a tile with three channels, also of a gray one."""
    return tile if tile.ndim == 3 else np.repeat(tile[:, :, np.newaxis], 3, axis=2)


def _caption(text: str) -> str:
    return "\n".join(shorten(printable(line), _CAPTION_CHARS) for line in text.split("\n")[:3])


def shorten(text: str, limit: int) -> str:
    """Keep both ends of a text that is too long: the end of a path tells more than its start."""
    if len(text) <= limit:
        return text
    tail = (limit - 2) * 2 // 3
    return f"{text[: limit - 2 - tail]}..{text[-tail:]}"


def printable(text: str) -> str:
    """Replace what the font cannot draw: matplotlib would warn and draw a box."""
    font = get_font(findfont(FontProperties(family=_SANS)))
    known = font.get_charmap()
    return "".join(char if char == "\n" or ord(char) in known else "?" for char in text)
