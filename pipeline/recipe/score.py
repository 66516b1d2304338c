"""How well frozen features tell targets: ridge regression, each group judged by a fit without it.

It has one optimum and one decomposition for all strengths: no seed and no epochs decide it, and a
candidate costs less than a second.

Axes: N = items, D = features, K = targets (one for each class, or 1).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from pipeline.ground.seeds import deal
from pipeline.model.head import Head

Features = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]

FOLDS = 8
"""By the name of an item's group alone, so that no item moves another one."""

STRENGTHS = tuple(10.0 ** (each / 2) for each in range(2, -9, -1))
"""Of the penalty on squared weights, for features whose squares sum to 1 in the mean item."""


@dataclass(frozen=True)
class Score:
    """How items are told by fits without their group.

    Attributes:
        losses_N: Squared error of each.
        right_N: Whether the largest output is that of the item's class; all False for one target.
    """

    losses_N: Floats
    right_N: npt.NDArray[np.bool_]

    @property
    def loss(self) -> float:
        """Mean squared error."""
        return float(self.losses_N.mean())


class Fitted:
    """Ridge regression on some features, for each fold without it, at the strength that does best.

    Args:
        features_ND: Finite.
        targets_NK: One-hot classes, or a standardized value.
        groups: Of each item; items of one group are held out together.

    Attributes:
        score: Of the items as they were fitted to.
    """

    def __init__(self, features_ND: Features, targets_NK: Floats, groups: Sequence[str]) -> None:
        self._head = Head(features_ND.shape[1], targets_NK.shape[1], dropout=0.0)
        self._head.fit_scaling(torch.from_numpy(features_ND))
        self._targets_NK = targets_NK
        folds_N = deal(groups, FOLDS, 1, "fold")
        rows_ND = self._scale(features_ND)
        self._parts = []
        held_SNK = np.tile(targets_NK.mean(axis=0), (len(STRENGTHS), len(rows_ND), 1))
        for fold in np.unique(folds_N):
            out_N = folds_N == fold
            weights_SDK = _ridge(rows_ND[~out_N], targets_NK[~out_N])
            held_SNK[:, out_N] = rows_ND[out_N] @ weights_SDK
            self._parts.append((out_N, weights_SDK))
        losses_S = np.square(held_SNK - targets_NK).sum(axis=2).mean(axis=1)
        self._best = int(losses_S.argmin())
        self.score = self._judge(held_SNK[self._best])

    def show(self, features_ND: Features) -> Score:
        """Judge the same items by other features of theirs, such as those of another view."""
        rows_ND = self._scale(features_ND)
        held_NK = np.empty_like(self._targets_NK)
        for out_N, weights_SDK in self._parts:
            held_NK[out_N] = rows_ND[out_N] @ weights_SDK[self._best]
        return self._judge(held_NK)

    def _scale(self, features_ND: Features) -> Floats:
        """Return features as the head scales them, and a constant one, for the bias; float64."""
        scaled_ND = self._head.scale(torch.from_numpy(features_ND)).double().numpy()
        return np.column_stack([scaled_ND, np.ones(len(scaled_ND))])

    def _judge(self, outputs_NK: Floats) -> Score:
        targets_NK = self._targets_NK
        right_N = outputs_NK.argmax(axis=1) == targets_NK.argmax(axis=1)
        is_class = targets_NK.shape[1] > 1
        losses_N = np.square(outputs_NK - targets_NK).sum(axis=1)
        return Score(losses_N, np.asarray(right_N & is_class))


def _ridge(rows_ND: Floats, targets_NK: Floats) -> Floats:
    """Return the weights [S, D, K] of each of `STRENGTHS`, by the rows' products with each other.

    With no rows they are 0.
    """
    values_N, vectors_NN = np.linalg.eigh(rows_ND @ rows_ND.T)
    turned_NK = vectors_NN.T @ targets_NK
    found = [
        rows_ND.T @ (vectors_NN @ (turned_NK / (values_N.clip(min=0.0) + each)[:, np.newaxis]))
        for each in STRENGTHS
    ]
    return np.stack(found)
