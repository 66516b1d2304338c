"""What is gained by not answering where the model is unsure.

The surest items are answered first, by their confidence. Items of equal confidence are answered
together: no bound on the confidence could part them.

Axes: N = items, R = resamples, P = shares.
"""

from typing import Any

import numpy as np

from pipeline.judge.answers import Answers
from pipeline.judge.resampling import Bootstrap, Scores, resampled

GRID_P = np.arange(1, 101) / 100
"""Shares of the items that are answered."""

TOLD = (0.9, 0.8, 0.5)
"""Shares that are told in numbers."""


def judge_abstention(answers: Answers, bootstrap: Bootstrap) -> dict[str, Any]:
    """Return accuracy over the share that is answered.

    Returns:
        `curve`: `share`, `accuracy`, `low` and `high` for each share of `GRID_P`; `area`: the mean
        of the curve; `at`: by share, `accuracy`, `low`, `high` and the `confidence` from which on
        is answered. Without resamples there are no intervals.
    """

    def scores(weights_RN: np.ndarray) -> Scores:
        curve_RP = answered_accuracy(answers.confidence, answers.right, weights_RN, GRID_P)
        return {"curve": curve_RP, "area": curve_RP.mean(axis=1)}

    whole = scores(np.ones((1, len(answers))))
    spread = {
        name: np.percentile(values, [2.5, 97.5], axis=0)
        for name, values in resampled(scores, bootstrap).items()
    }
    curve = [
        {
            "share": float(share),
            "accuracy": float(whole["curve"][0, place]),
            **_ends(spread.get("curve"), place),
        }
        for place, share in enumerate(GRID_P)
    ]
    confidences = -np.sort(-answers.confidence)
    at = {
        f"{share:g}": {
            **{name: value for name, value in curve[_place(share)].items() if name != "share"},
            "confidence": float(confidences[int(np.ceil(share * len(answers) - 1e-9)) - 1]),
        }
        for share in TOLD
    }
    area = {"accuracy": float(whole["area"][0]), **_ends(spread.get("area"))}
    return {"curve": curve, "area": area, "at": at}


def answered_accuracy(
    confidence_N: np.ndarray, right_N: np.ndarray, weights_RN: np.ndarray, shares_P: np.ndarray
) -> np.ndarray:
    """Return the accuracy of the surest items that make up at least a share of all: [R, P].

    Args:
        confidence_N: Items of equal confidence stay together.
        right_N: Which are right.
        weights_RN: At least 0; each row has a positive sum.
        shares_P: In (0, 1].
    """
    order = np.argsort(-confidence_N, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(confidence_N[order])), len(order) - 1)
    sorted_RN = weights_RN[:, order]
    answered = np.cumsum(sorted_RN, axis=1)[:, ends]
    right = np.cumsum(sorted_RN * right_N[order], axis=1)[:, ends]
    needed = shares_P * answered[:, -1:] * (1 - 1e-12)  # rounding must not ask for one item more
    rows = [np.searchsorted(row, wanted) for row, wanted in zip(answered, needed, strict=True)]
    place_RP = np.minimum(np.stack(rows), answered.shape[1] - 1)
    at = (np.arange(len(weights_RN))[:, np.newaxis], place_RP)
    return np.asarray(right[at] / answered[at])


def _place(share: float) -> int:
    return int(np.flatnonzero(np.isclose(GRID_P, share))[0])


def _ends(spread: np.ndarray | None, *place: int) -> dict[str, float]:
    if spread is None:
        return {}
    low, high = (float(end[place]) for end in spread)
    return {"low": low, "high": high}
