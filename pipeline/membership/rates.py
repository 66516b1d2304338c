"""How far scores tell members from others: rates, areas, intervals of 95 %.

Intervals take items to be independent.

Axes: M members, O others, P points of the curve.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import stats

from pipeline.judge.curves import sweep

ASKED = (0.001, 0.01)
"""False-positive rates at which the true-positive rate is told."""

_QUANTILE = 0.975
_DIGITS = 6

Rates = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Curve:
    """The ROC, from (0, 0) to (1, 1): a point for each distinct score, from the highest down."""

    caught_P: npt.NDArray[np.int64]
    """Members at or above the score."""

    alarms_P: npt.NDArray[np.int64]
    """Others at or above it."""

    @property
    def found(self) -> Rates:
        """Share of members that are named as such: the true-positive rate, [P]."""
        return np.asarray(self.caught_P / self.caught_P[-1])

    @property
    def false(self) -> Rates:
        """Share of others that are named as members: the false-positive rate, [P]."""
        return np.asarray(self.alarms_P / self.alarms_P[-1])


def roc(members_M: np.ndarray, others_O: np.ndarray) -> Curve:
    """Return the curve of scores; at least one of each."""
    scores = np.concatenate([members_M, others_O])
    is_member = np.arange(len(scores)) < len(members_M)
    caught, alarms = (
        np.concatenate([[0], each]).astype(np.int64) for each in sweep(scores, is_member)
    )
    return Curve(caught, alarms)


def judge(members_M: np.ndarray, others_O: np.ndarray) -> dict[str, Any]:
    """Return what report.json says of the scores of members and of others.

    A rate's threshold is the lowest one with so few false alarms among these others, so it is
    known as well as they are many: `alarms` is that number, `possible` whether there may be one.
    `found` is true where the interval of the true-positive rate lies above that of the
    false-positive rate: more members are named than chance would.
    """
    curve = roc(members_M, others_O)
    area, low, high = auc(members_M, others_O)
    return {
        "members": len(members_M),
        "others": len(others_O),
        "auc": round(area, _DIGITS),
        "auc_ci95": {"low": round(low, _DIGITS), "high": round(high, _DIGITS)},
        "balanced_accuracy": round(float((curve.found + 1 - curve.false).max() / 2), _DIGITS),
        "tpr_at_fpr": {name_of(rate): _at(curve, rate) for rate in ASKED},
    }


def name_of(rate: float) -> str:
    """Return how a false-positive rate is called in reports and metrics."""
    return f"1_in_{round(1 / rate)}"


def _at(curve: Curve, rate: float) -> dict[str, Any]:
    members, others = int(curve.caught_P[-1]), int(curve.alarms_P[-1])
    place = int(np.flatnonzero(curve.alarms_P <= rate * others)[-1])
    caught, alarms = int(curve.caught_P[place]), int(curve.alarms_P[place])
    low, high = exact_interval(caught, members)
    return {
        "tpr": round(caught / members, _DIGITS),
        "ci95": {"low": round(low, _DIGITS), "high": round(high, _DIGITS)},
        "alarms": alarms,
        "possible": rate * others >= 1,
        "found": low > max(rate, exact_interval(alarms, others)[1]),
    }


def exact_interval(hits: int, of: int) -> tuple[float, float]:
    """Return the interval of a share (Clopper and Pearson 1934)."""
    low = stats.beta.ppf(1 - _QUANTILE, hits, of - hits + 1) if hits else 0.0
    high = stats.beta.ppf(_QUANTILE, hits + 1, of - hits) if hits < of else 1.0
    return float(low), float(high)


def auc(members_M: np.ndarray, others_O: np.ndarray) -> tuple[float, float, float]:
    """Return the area under the ROC and its interval (DeLong et al. 1988).

    It is the chance that a member has a higher score than another item.
    """
    parts = []
    for own, other in ((members_M, others_O), (others_O, members_M)):
        rivals = np.sort(other)
        below = np.searchsorted(rivals, own, "left") + np.searchsorted(rivals, own, "right")
        parts.append(below / (2 * len(rivals)))
    area = float(parts[0].mean())
    variance = sum(each.var(ddof=1) / len(each) if len(each) > 1 else 0.25 for each in parts)
    half = float(stats.norm.ppf(_QUANTILE)) * float(np.sqrt(variance))
    return area, max(0.0, area - half), min(1.0, area + half)
