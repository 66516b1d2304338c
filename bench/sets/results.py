"""What contestants wrote, read again, and the arithmetic of means and standard errors.

Axes: seeds, and test items of one seed.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import exp, log, sqrt
from pathlib import Path
from statistics import mean, variance
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Result:
    """One contestant on one set with one seed.

    Attributes:
        lines: One for each epoch that was judged, or one in all.
    """

    lines: Sequence[Mapping[str, Any]]

    @property
    def kept(self) -> Mapping[str, Any]:
        """The line of what it keeps."""
        return next(line for line in self.lines if line.get("kept"))

    @property
    def accuracy(self) -> float:
        """On the test items, of what it keeps."""
        return float(self.kept["test_accuracy"])

    @property
    def seconds(self) -> float:
        """To the end of its training."""
        return float(self.lines[-1]["seconds"])

    @property
    def right(self) -> np.ndarray:
        """Which test items it got right."""
        bits = np.frombuffer(bytes.fromhex(self.kept["right"]), dtype=np.uint8)
        return np.unpackbits(bits)[: self.kept["test_items"]].astype(bool)

    def seconds_to(self, accuracy: float) -> float | None:
        """Return when it first had a test accuracy, in whatever epoch; None for never."""
        return next((x["seconds"] for x in self.lines if x["test_accuracy"] >= accuracy), None)


Seeds = Mapping[int, Result]
Sets = dict[str, dict[str, dict[int, Result]]]
"""By set, contestant and seed."""


@dataclass(frozen=True)
class Estimate:
    """A mean and its standard error."""

    mean: float
    error: float


def load(folder: Path) -> Sets:
    """Read all that there is; `<set>/<contestant>-<seed>.jsonl`."""
    found: Sets = {}
    for path in sorted(folder.glob("*/*-[0-9]*.jsonl")):
        lines = [json.loads(text) for text in path.read_text(encoding="utf-8").splitlines()]
        name, _, seed = path.stem.rpartition("-")
        found.setdefault(path.parent.name, {}).setdefault(name, {})[int(seed)] = Result(lines)
    return found


def accuracy(runs: Iterable[Result]) -> Estimate:
    """Return the mean over seeds.

    Its variance is that of the mean over seeds, and that of a share of as many items as one seed
    has in test: test items of other seeds are the same ones, or overlap, so they add nothing.
    """
    every = list(runs)
    found = mean(each.accuracy for each in every)
    items = mean(each.kept["test_items"] for each in every)
    return _estimate([each.accuracy for each in every], found * (1 - found) / items)


def difference(one: Seeds, other: Seeds) -> Estimate | None:
    """Return how much more accurate one is, by the seeds in which both had the same test items.

    The share of items is of those that only one of them got right, so the error is smaller than
    that of two unrelated figures. None without such a seed.
    """
    pairs = [(one[seed], other[seed]) for seed in sorted(one.keys() & other.keys())]
    pairs = [(a, b) for a, b in pairs if a.kept["items"] == b.kept["items"]]
    if not pairs:
        return None
    gains = [a.right.astype(float) - b.right.astype(float) for a, b in pairs]
    return _estimate(
        [each.mean() for each in gains], mean(each.var() / len(each) for each in gains)
    )


def mean_of(estimates: Sequence[Estimate]) -> Estimate:
    """Return the mean over sets, which are independent."""
    error = sqrt(sum(each.error**2 for each in estimates)) / len(estimates)
    return Estimate(mean(each.mean for each in estimates), error)


def geometric_mean(ratios: Sequence[float]) -> float:
    """Return the number that, in place of each, gives the same product."""
    return exp(mean(log(each) for each in ratios))


def _estimate(by_seed: Sequence[float], of_items: float) -> Estimate:
    of_seeds = variance(by_seed) / len(by_seed) if len(by_seed) > 1 else 0.0
    return Estimate(float(mean(by_seed)), sqrt(of_seeds + of_items))
