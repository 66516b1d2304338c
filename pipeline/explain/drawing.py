"""The curves of the side branch."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.ground.plots import COLORS, INK, PALE, add_legend, figure_file, printable, shorten


def reliabilities(
    path: Path, lines: Mapping[str, Sequence[Mapping[str, float]]], *, title: str
) -> None:
    """Draw accuracy over confidence for several sets of confidences, with the items of each bin.

    Args:
        path: The PNG to write.
        lines: By name, the bins that hold something: `from`, `to`, `n`, `confidence`, `accuracy`.
        title: Above both panels.
    """
    with figure_file(path, (6.6, 6.6)) as figure:
        top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(2.6, 1.2))
        top.plot([0, 1], [0, 1], color=PALE, lw=1.0, ls="--", label="perfectly calibrated")
        lowest = min([1.0, *(bins[0]["from"] for bins in lines.values() if bins)])
        for place, (color, (name, bins)) in enumerate(zip(COLORS, lines.items(), strict=False)):
            x, y, n = ([each[key] for each in bins] for key in ("confidence", "accuracy", "n"))
            sizes = [18 + 130 * each / max(n) for each in n]
            top.plot(x, y, color=color, lw=1.4, alpha=0.8)
            top.scatter(x, y, s=sizes, color=color, label=printable(name), zorder=3)
            width = (bins[0]["to"] - bins[0]["from"]) / (len(lines) + 0.3) if bins else 0.0
            left = [each["from"] + width * (place + 0.15) for each in bins]
            bars = bottom.bar(left, n, width=width * 0.92, align="edge", color=color)
            bottom.bar_label(bars, fontsize=7, color=INK, padding=1, rotation=90)
        top.set(ylabel="share of right answers", xlim=(lowest - 0.01, 1.01), ylim=(-0.02, 1.04))
        top.set_title(printable(title))
        add_legend(top, loc="upper left")
        bottom.margins(y=0.28)
        bottom.set(xlabel="confidence", ylabel="items")


def answered_curve(
    path: Path,
    curve: Sequence[Mapping[str, float]],
    *,
    told: Sequence[float],
    items: str,
    title: str,
) -> None:
    """Draw accuracy over the share of items that is answered, with its band.

    Args:
        path: The PNG to write.
        curve: `share`, `accuracy`, and where there is a band `low` and `high`.
        told: Shares that get a mark and a number.
        items: What people call them.
        title: Above.
    """
    with figure_file(path, (6.6, 4.6)) as figure:
        axes = figure.add_subplot()
        share, accuracy = ([each[key] for each in curve] for key in ("share", "accuracy"))
        if all("low" in each for each in curve):
            low, high = ([each[key] for each in curve] for key in ("low", "high"))
            axes.fill_between(
                share, low, high, color=COLORS[0], alpha=0.16, lw=0, label="95 % interval"
            )
        axes.plot(share, accuracy, color=COLORS[0], label="accuracy of what is answered")
        for each in curve:
            if any(math.isclose(each["share"], mark) for mark in [*told, 1.0]):
                axes.plot(each["share"], each["accuracy"], "o", color=COLORS[1], ms=6)
                axes.annotate(
                    f"{each['accuracy']:.1%}",
                    (each["share"], each["accuracy"]),
                    xytext=(0, 9),
                    textcoords="offset points",
                    ha="center",
                    fontsize=9.5,
                    fontweight="bold",
                    color=INK,
                )
        bottom = min(each.get("low", each["accuracy"]) for each in curve)
        axes.set(xlim=(1.05, 0.0), ylim=(max(0.0, bottom - 0.05), 1.02))
        axes.set(
            xlabel=f"share of {items} that is answered, the surest first",
            ylabel="share of right answers",
        )
        axes.set_title(printable(title))
        add_legend(axes, loc="lower right")


def slice_scores(
    path: Path, rows: Sequence[Mapping[str, Any]], *, overall: float, measure: str, title: str
) -> None:
    """Draw the score of each part of the items with its interval, beside that of all items.

    Args:
        path: The PNG to write.
        rows: `name`, `n`, `score`, `low`, `high` (None where there is none) and `claim`.
        overall: The score of all items.
        measure: What the score is.
        title: Above.
    """
    tones = {"worse": COLORS[3], "better": COLORS[2]}
    with figure_file(path, (7.4, 1.3 + 0.42 * max(1, len(rows)))) as figure:
        axes = figure.add_subplot()
        axes.axvline(overall, color=PALE, lw=1.2, ls="--")
        for place, row in enumerate(rows):
            color = tones.get(row["claim"], COLORS[0])
            if row["score"] is None:
                axes.text(overall, place, " too few to judge", va="center", color=PALE, fontsize=9)
                continue
            if row["low"] is not None:
                ends = [row["low"], row["high"]]
                axes.plot(
                    ends, [place, place], color=color, lw=3.0, alpha=0.45, solid_capstyle="round"
                )
            axes.plot(row["score"], place, "o", color=color, ms=7)
        axes.set_yticks(
            range(len(rows)),
            [f"{shorten(printable(row['name']), 34)}  (n = {row['n']})" for row in rows],
        )
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.set_xlabel(printable(f"{measure}, 95 % interval; dashed: all items"))
        axes.set_title(printable(title))


def residuals(
    path: Path, predicted: np.ndarray, error: np.ndarray, *, target: str, title: str
) -> None:
    """Draw predicted less actual values over predicted ones, and how often each error occurs."""
    with figure_file(path, (8.4, 4.4)) as figure:
        left, right = figure.subplots(1, 2, sharey=True, width_ratios=(3.0, 1.0))
        left.axhline(0.0, color=PALE, lw=1.0, ls="--")
        left.scatter(predicted, error, s=14, alpha=0.45, color=COLORS[0], edgecolors="none")
        left.set_xlabel(printable(f"predicted {target}"))
        left.set_ylabel("predicted less actual")
        left.set_title(printable(title))
        right.hist(error, bins=30, orientation="horizontal", color=COLORS[0], alpha=0.8)
        right.set_xlabel("items")
