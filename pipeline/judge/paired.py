"""How much better one model is than another on the same items, and how sure that is.

Both are scored on the same resamples of whole groups. What makes a resample easy makes it easy for
both and drops out of the difference, so the interval is much narrower than those of the two alone.
A gain is positive where the candidate is better, whichever way its metric points.

Axes: N items, K classes, R resamples.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from pipeline.ground.params import Task
from pipeline.judge import metrics
from pipeline.judge.metrics import METRICS
from pipeline.judge.resampling import Bootstrap, Scores, point, resampled, weigh

RECALL = "recall."
"""With the name of a class after it: the share of its items that are found."""


@dataclass(frozen=True)
class Items:
    """The items that both are judged on."""

    targets_N: np.ndarray
    """Class numbers, or the values of a regression."""

    groups_N: np.ndarray
    """Group of each item, int64 in [0, number of groups)."""

    classes: tuple[str, ...]
    """Their names; none for a regression."""

    ece_bins: int


@dataclass(frozen=True)
class Gain:
    """How a metric differs; None where it is not defined on these items."""

    candidate: float | None
    champion: float | None
    value: float | None
    """Positive: the candidate is better."""

    low: float | None
    """The interval's ends; None where most resamples do not define the metric."""

    high: float | None

    def __str__(self) -> str:
        if self.value is None or self.low is None or self.high is None:
            return "not defined on these items"
        return f"gain {self.value:+.4f} (interval {self.low:+.4f} to {self.high:+.4f})"


def score(items: Items, outputs: np.ndarray) -> dict[str, float]:
    """Return every metric, and `recall.<class>` of each class that occurs.

    Args:
        items: N of them.
        outputs: Probabilities [N, K] as served, or values [N, 1].
    """
    return point(_scores(items, outputs), len(items.targets_N))


def compare(
    items: Items,
    candidate: np.ndarray,
    champion: np.ndarray,
    *,
    bootstrap: Bootstrap,
    confidence: float,
) -> dict[str, Gain]:
    """Return the gain in every metric, and in the recall of each class.

    Args:
        items: N of them.
        candidate: Probabilities [N, K] as served, or values [N, 1].
        champion: Likewise.
        bootstrap: What is drawn.
        confidence: Of the intervals, 0..1; half of what is missing to 1 lies beyond either end.
    """
    ours, theirs = _scores(items, candidate), _scores(items, champion)

    def gains(weights_RN: np.ndarray) -> Scores:
        new, old = ours(weights_RN), theirs(weights_RN)
        return {name: sign(name) * (new[name] - old[name]) for name in new}

    points = (score(items, candidate), score(items, champion))
    values = point(gains, len(items.targets_N))
    resamples = resampled(gains, bootstrap)
    return {
        name: Gain(
            points[0].get(name),
            points[1].get(name),
            values.get(name),
            *_ends(resamples[name], confidence),
        )
        for name in resamples
    }


def sign(name: str) -> float:
    """Return -1 for a metric that is better where it is smaller, else 1."""
    return -1.0 if name in METRICS and METRICS[name].better == "min" else 1.0


def _scores(items: Items, outputs: np.ndarray) -> Callable[[np.ndarray], Scores]:
    task: Task = "classification" if items.classes else "regression"

    def scores(weights_RN: np.ndarray) -> Scores:
        found = metrics.scores(task, outputs, items.targets_N, weights_RN, ece_bins=items.ece_bins)
        return found | _recalls(outputs, items, weights_RN)

    return scores


def _recalls(outputs: np.ndarray, items: Items, weights_RN: np.ndarray) -> Scores:
    """Return `recall.<class>`; NaN where a resample has no item of the class."""
    is_NK = items.targets_N[:, np.newaxis] == np.arange(len(items.classes))
    right_NK = is_NK & (outputs.argmax(axis=1) == items.targets_N)[:, np.newaxis]
    all_RK, hit_RK = (weigh(weights_RN, table) for table in (is_NK, right_NK))
    recall_RK = np.where(all_RK > 0, hit_RK / np.where(all_RK > 0, all_RK, 1.0), np.nan)
    return {f"{RECALL}{name}": recall_RK[:, k] for k, name in enumerate(items.classes)}


def _ends(values_R: np.ndarray, confidence: float) -> tuple[float | None, float | None]:
    defined = values_R[~np.isnan(values_R)]
    if len(defined) * 2 < len(values_R):
        return None, None
    beyond = 50.0 * (1.0 - confidence)
    low, high = np.percentile(defined, [beyond, 100.0 - beyond])
    return float(low), float(high)
