"""Whether confidences can be believed, before and after the temperature.

Axes: N = items, K = classes, R = resamples, M = bins of confidence.
"""

from typing import Any

import numpy as np

from pipeline.judge.answers import Answers
from pipeline.judge.calibration import calibration_errors, reliability_bins
from pipeline.judge.resampling import Bootstrap, Scores, intervals, point
from pipeline.judge.temperature import probabilities


def judge_calibration(answers: Answers, bins: int, bootstrap: Bootstrap) -> dict[str, Any]:
    """Return the calibration error before and after the temperature, with intervals and bins.

    Args:
        answers: Of classes.
        bins: M, of equal width.
        bootstrap: Behind the 95 % intervals.

    Returns:
        `temperature`; `before` and `after`, each with `ece`, `low`, `high` and `bins`; and
        `change`, of the error, of which below 0 is better.
    """
    temperature = answers.bundle.temperature
    tables = {"before": without_temperature(answers.served, temperature), "after": answers.served}

    def scores(weights_RN: np.ndarray) -> Scores:
        found = {
            name: calibration_errors(table.max(axis=1), answers.right, weights_RN, bins)
            for name, table in tables.items()
        }
        return found | {"change": found["after"] - found["before"]}

    points, spread = point(scores, len(answers)), intervals(scores, bootstrap)
    return {
        "temperature": temperature,
        **{
            name: {
                "ece": points[name],
                **spread.get(name, {}),
                "bins": _bins(table.max(axis=1), answers.right, bins),
            }
            for name, table in tables.items()
        },
        "change": {"ece": points["change"], **spread.get("change", {})},
    }


def without_temperature(served_NK: np.ndarray, temperature: float) -> np.ndarray:
    """Return the probabilities that the logits would have at temperature 1.

    A probability's logarithm is its logit over the temperature, but for a number that is the same
    for all classes and that the softmax does not see.
    """
    logits_NK = temperature * np.log(np.maximum(served_NK, np.finfo(np.float64).tiny))
    return probabilities(logits_NK, 1.0)


def _bins(confidence_N: np.ndarray, right_N: np.ndarray, bins: int) -> list[dict[str, float]]:
    """Return the bins that hold something: ends, items, mean confidence, share of right answers."""
    found = reliability_bins(confidence_N, right_N, bins)
    return [
        {
            "from": place / bins,
            "to": (place + 1) / bins,
            "n": int(found["count"][place]),
            "confidence": float(found["confidence"][place]),
            "accuracy": float(found["accuracy"][place]),
        }
        for place in np.flatnonzero(found["count"])
    ]
