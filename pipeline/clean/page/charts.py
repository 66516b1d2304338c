"""What the chart of the cleaning report shows: classes in the splits."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from pipeline.manifest.manifest import SPLITS

_ROWS = 40
"""Classes with a row each; with more there is an outline of all, and the extremes."""

_EXTREMES = 10
_LISTED = 500
_OUTLINE = 600
"""Width of the outline; more classes than it is wide share a place."""

Counts = Mapping[str, Mapping[str, int]]
"""split -> label -> items."""


@dataclass(frozen=True)
class Bar:
    """A rectangle of the outline."""

    x: float
    y: float
    width: float
    height: float
    split: str


@dataclass(frozen=True)
class Balance:
    """The items of each class in each split; bars are relative to the split's largest class."""

    counts: Counts
    labels: Sequence[str]
    """In the order to draw them."""

    outline: Sequence[Bar]
    """Every class as a thin stack of its splits; none where each has a row."""

    @property
    def tops(self) -> Mapping[str, int]:
        """The largest class of each split."""
        return {split: max([1, *each.values()]) for split, each in self.counts.items()}

    @property
    def extremes(self) -> Sequence[str]:
        """The largest and the smallest classes."""
        return [*self.labels[:_EXTREMES], *self.labels[-_EXTREMES:]]

    @property
    def listed(self) -> Sequence[str]:
        """As many of the largest as are listed."""
        return self.labels[:_LISTED]

    @property
    def told(self) -> str:
        """The outline in words."""
        top, bottom = (_total(self.counts, self.labels[place]) for place in (0, -1))
        return f"items of {len(self.labels)} classes, from {top} down to {bottom}"


def find_balance(counts: Counts) -> Balance:
    """Return what is drawn of the classes.

    Args:
        counts: Every split has the same labels, in the order to draw them.
    """
    counts = {split: counts[split] for split in SPLITS if split in counts}
    labels = list(next(iter(counts.values()), {}))
    if len(labels) <= _ROWS:
        return Balance(counts, labels, ())
    by_size = sorted(labels, key=lambda label: (-_total(counts, label), label))
    return Balance(counts, by_size, list(_outline(by_size, counts)))


def _total(counts: Counts, label: str) -> int:
    return sum(counts[split][label] for split in counts)


def _outline(by_size: Sequence[str], counts: Counts) -> Iterator[Bar]:
    top = _total(counts, by_size[0])
    places = min(len(by_size), _OUTLINE)
    width = _OUTLINE / places
    for place in range(places):
        labels = by_size[place * len(by_size) // places : (place + 1) * len(by_size) // places]
        floor = 100.0
        for split, each in counts.items():
            height = 96 * sum(each[label] for label in labels) / len(labels) / top
            floor -= height
            if height > 0:
                yield Bar(place * width, floor, width * 0.86, height, split)
