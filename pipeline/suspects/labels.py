"""Which labels are wrong, from predictions by models that did not see them. The home of cleanlab.

Classes: confident learning (Northcutt et al. 2021) says how many labels of each class are wrong,
and which; the normalized margin (Kuan and Mueller 2022) puts them in order. Numbers: the distance
from the prediction in robust deviations, against those of all items.

Axes: N items, K classes.
"""

from dataclasses import dataclass

import numpy as np

from pipeline.ground.robust import robust_deviations


@dataclass(frozen=True)
class LabelVerdicts:
    """What is said of every label."""

    scores_N: np.ndarray
    """How suspect, float64: of a class in [0, 1], of a value in robust deviations, at least 0."""

    suggested_N: np.ndarray
    """The class number that the model takes it for, int64; or the value, float64."""

    is_suspect_N: np.ndarray
    """bool."""

    noise_KK: np.ndarray | None
    """Estimated shares of all items, row = given class, column = true class; sum 1. None for
    values."""

    def order(self) -> np.ndarray:
        """Return all items, the most suspect first: int64 [N]; ties in the order of the items.

        Those that confident learning names come first, whatever the others' scores.
        """
        return np.lexsort((-self.scores_N, ~self.is_suspect_N))


def judge_classes(labels_N: np.ndarray, probabilities_NK: np.ndarray) -> LabelVerdicts:
    """Judge class labels.

    Args:
        labels_N: Class numbers as they were given, int64; every class of [0, K) is there.
        probabilities_NK: Of models that did not see these labels, float64.
    """
    from cleanlab.count import compute_confident_joint, estimate_joint  # slow to import
    from cleanlab.filter import find_label_issues

    joint = compute_confident_joint(labels_N, probabilities_NK)
    is_suspect = find_label_issues(
        labels_N, probabilities_NK, filter_by="prune_by_noise_rate", confident_joint=joint, n_jobs=1
    )
    rows = np.arange(len(labels_N))
    own = probabilities_NK[rows, labels_N]
    others = probabilities_NK.copy()
    others[rows, labels_N] = -np.inf
    scores = (others.max(axis=1) - own + 1.0) / 2.0
    noise = estimate_joint(labels_N, probabilities_NK, confident_joint=joint)
    return LabelVerdicts(
        np.clip(scores, 0.0, 1.0),
        others.argmax(axis=1).astype(np.int64),
        np.asarray(is_suspect, dtype=bool),
        np.asarray(noise, dtype=np.float64),
    )


def judge_values(values_N: np.ndarray, predicted_N: np.ndarray, *, beyond: float) -> LabelVerdicts:
    """Judge numeric labels.

    Args:
        values_N: As they were given, float64.
        predicted_N: By models that did not see them, float64.
        beyond: Robust deviations from which a label is a suspect.
    """
    scores = np.abs(robust_deviations(values_N - predicted_N))
    return LabelVerdicts(scores, predicted_N, scores > beyond, None)
