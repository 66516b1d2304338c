"""Charts of the cleaning report as HTML and SVG: no script, and readable as a table of numbers."""

from collections.abc import Mapping, Sequence
from itertools import pairwise

import pandas as pd

from pipeline.clean.page.markup import Html, tag
from pipeline.manifest.manifest import SPLITS

_ROWS = 40
"""Classes with a row each; with more there is an outline of all, and the extremes."""

_EXTREMES = 10
_LISTED = 500
_NAME_CHARS = 60
_SIDES_PX = (16, 32, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048, 3072, 4096, 8192)
_ASPECTS = (0.5, 0.7, 0.95, 1.05, 1.45, 2.0)
_ASPECT_NAMES = (
    "1 : 2 and taller",
    "tall",
    "upright",
    "square",
    "lying",
    "wide",
    "2 : 1 and wider",
)

Counts = Mapping[str, Mapping[str, int]]
"""split -> label -> items."""


def shorten(text: str, limit: int = _NAME_CHARS) -> str:
    """Leave out the middle of a text that is too long: the end of a path tells most."""
    if len(text) <= limit:
        return text
    tail = limit * 2 // 3
    return f"{text[: limit - tail - 1]}…{text[-tail:]}"


def balance_chart(counts: Counts, what: str = "class") -> Html:
    """Draw the items of each class in each split; bars are relative to the split's largest class.

    Args:
        counts: Every split has the same labels, in the order to draw them.
        what: What a label is.
    """
    labels = list(next(iter(counts.values()), {}))
    if len(labels) <= _ROWS:
        return _bars(labels, counts, what)
    by_size = sorted(labels, key=lambda label: (-_total(counts, label), label))
    ends = [*by_size[:_EXTREMES], *by_size[-_EXTREMES:]]
    listed = by_size[:_LISTED]
    rest = len(by_size) - len(listed)
    return tag(
        "div",
        _outline(by_size, counts),
        tag("p", "Each column is a class, the largest first.", class_="more"),
        tag(
            "h3", f"The {_EXTREMES} largest and the {_EXTREMES} smallest of {len(labels):,} classes"
        ),
        _bars(ends, counts, what),
        tag(
            "details",
            tag("summary", f"all {len(listed):,} by size" if not rest else f"the first {_LISTED}"),
            _bars(listed, counts, what),
        ),
    )


def columns_chart(names: Sequence[str], counts: Sequence[int], label: str) -> Html:
    """Draw upright bars with their numbers above and their names below."""
    top = max([1, *counts])
    return tag(
        "div",
        tag(
            "div",
            # 82 % leaves room for the number above the highest bar.
            *(
                tag("div", n if n else None, tag("i", style=f"height:{82 * n / top:.1f}%"))
                for n in counts
            ),
            class_="columns",
            role="img",
            aria_label=f"{label}: "
            + ", ".join(f"{name} {n}" for name, n in zip(names, counts, strict=True)),
        ),
        tag("div", *(tag("span", name) for name in names), class_="ticks", aria_hidden="true"),
    )


def side_bins(longer: pd.Series) -> tuple[list[str], list[int]]:
    """Count pictures by their longer side, pixels, in bins without empty ends; names and counts."""
    edges = [0, *_SIDES_PX, 1 << 62]
    counts = [int(((longer >= low) & (longer < high)).sum()) for low, high in pairwise(edges)]
    names = [f"< {_SIDES_PX[0]}", *(f"{low}" for low in _SIDES_PX)]
    filled = [place for place, n in enumerate(counts) if n]
    if not filled:
        return [], []
    span = slice(filled[0], filled[-1] + 1)
    return names[span], counts[span]


def aspect_bins(width: pd.Series, height: pd.Series) -> tuple[list[str], list[int]]:
    """Count pictures by shape, from tall to wide; names and counts."""
    aspect = width.astype("float64") / height.astype("float64")
    edges = [0.0, *_ASPECTS, float("inf")]
    counts = [int(((aspect >= low) & (aspect < high)).sum()) for low, high in pairwise(edges)]
    return list(_ASPECT_NAMES), counts


def _total(counts: Counts, label: str) -> int:
    return sum(counts[split][label] for split in counts)


def _bars(labels: Sequence[str], counts: Counts, what: str) -> Html:
    tops = {split: max([1, *counts[split].values()]) for split in SPLITS}
    head = tag(
        "tr",
        tag("th", what),
        *(
            tag("th", tag("i", class_=f"dot {split}"), f"{split} ", tag("b", sum(each.values())))
            for split, each in ((split, counts[split]) for split in SPLITS)
        ),
    )
    rows = [
        tag(
            "tr",
            tag("td", shorten(label), class_="name", title=label[:300]),
            *(tag("td", _bar(split, counts[split][label], tops[split])) for split in SPLITS),
        )
        for label in labels
    ]
    return tag("div", tag("table", head, *rows, class_="bars"), class_="scroll")


def _bar(split: str, n: int, top: int) -> Html:
    # 70 % leaves room for the number behind the longest bar.
    return tag(
        "div",
        tag("i", style=f"width:{70 * n / top:.1f}%") if n else None,
        tag("span", n),
        class_=f"bar {split}",
    )


def _outline(by_size: Sequence[str], counts: Counts) -> Html:
    """Draw every class as a thin stack of its splits, the largest first."""
    top = max(_total(counts, label) for label in by_size)
    # More classes than the drawing is wide share a place: the mean of those that fall on it.
    places = min(len(by_size), 600)
    width = 600 / places
    bars: list[Html] = []
    for place in range(places):
        labels = by_size[place * len(by_size) // places : (place + 1) * len(by_size) // places]
        floor = 100.0
        for split in SPLITS:
            height = 96 * sum(counts[split][each] for each in labels) / len(labels) / top
            floor -= height
            if height > 0:
                bars.append(
                    tag(
                        "rect",
                        x=f"{place * width:.2f}",
                        y=f"{floor:.2f}",
                        width=f"{width * 0.86:.2f}",
                        height=f"{height:.2f}",
                        class_=split,
                    )
                )
    return tag(
        "svg",
        *bars,
        viewBox="0 0 600 100",
        role="img",
        preserveAspectRatio="none",
        style="height:9rem",
        aria_label=f"items of {len(by_size)} classes, from {top} down to "
        f"{_total(counts, by_size[-1])}",
    )
