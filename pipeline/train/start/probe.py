"""The linear probe: the best linear layer on frozen features, at the strength that data choose.

Its loss is convex, so it has one optimum: no seed, no epochs and no rate decide it. It is what
every other training has to beat.

Axes: N = items, D = features, K = outputs (classes, or 1), S = strengths.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from pipeline.train.recipe.losses import Loss, mean

STRENGTHS = tuple(10 ** (-each / 2) for each in range(4, 12))
"""Of the penalty on squared weights, from strong to weak, for features as `Head` scales them."""

FOLDS = 4
MOST_ITEMS = 8192
"""Items that a probe is fitted to, at most; it bounds time and memory."""

_STEPS = 60
"""Of L-BFGS at each strength, from the optimum of the stronger one before."""

_LAST_STEPS = 500
"""Of the fit to all items, from zero; it stops where its gradient is small."""

_HALVINGS = 30
"""Of the range in which a factor is looked for."""

_SOFTEST = 0.05
"""The least factor: with less, no step moves the outputs."""

_TINY = 1e-10
"""Directions of features whose share of the largest one is smaller hold rounding alone."""


@dataclass(frozen=True)
class Probe:
    """A linear layer, and how it does on items that it was not fitted to.

    Attributes:
        weight_KD: float32, for scaled features.
        bias_K: float32.
        strength: The one of `STRENGTHS` with the lowest loss on held-out items.
        losses_S: That loss, for each strength that was tried.
        losses_N: At the strength: of each item, held out, times its weight; float64.
    """

    weight_KD: Tensor
    bias_K: Tensor
    strength: float
    losses_S: tuple[float, ...]
    losses_N: np.ndarray

    @property
    def held_out(self) -> float:
        """The lowest loss on held-out items."""
        return min(self.losses_S)


@dataclass(frozen=True)
class ProbeItems:
    """What a probe is fitted to.

    Attributes:
        scaled_ND: float32, features as `Head` scales them.
        targets_N: int64 class numbers, or float32 standardized values.
        weights_N: float32, at least 0.
        folds_N: int64 in [0, FOLDS): where each item is held out.
    """

    scaled_ND: Tensor
    targets_N: Tensor
    weights_N: Tensor
    folds_N: np.ndarray

    def take(self, chosen_N: Tensor) -> "ProbeItems":
        """Return some of the items."""
        return ProbeItems(
            self.scaled_ND[chosen_N],
            self.targets_N[chosen_N],
            self.weights_N[chosen_N],
            self.folds_N[chosen_N.numpy()],
        )


def fit_probe(items: ProbeItems, loss: Loss, outputs: int) -> Probe:
    """Fit a probe at the strength that does best on held-out items, then to all items.

    Args:
        items: At least one; those of a fold that holds all of them are judged by zero outputs.
        loss: Label smoothing is left out.
        outputs: K.
    """
    loss = replace(loss, label_smoothing=0.0)
    reduced_NR, back_RD = _reduce(items.scaled_ND.double())
    items = replace(items, scaled_ND=reduced_NR)
    targets_N, weights_N = items.targets_N, items.weights_N
    held = torch.zeros(len(STRENGTHS), len(targets_N), outputs, dtype=torch.float64)
    for fold in range(FOLDS):
        out = torch.from_numpy(items.folds_N == fold)
        if not bool(out.any()) or not bool(weights_N[~out].any()):
            continue
        path = _path(items.take(~out), loss, outputs)
        for number, layer in enumerate(path):
            held[number, out] = _apply(layer, items.scaled_ND[out])
    judged = [loss.by_item(each, targets_N, weights_N) for each in held]
    losses_S = [float(mean(losses_N.sum(), weighed_N.sum())) for losses_N, weighed_N in judged]
    best = int(np.argmin(losses_S))
    layer = _path(items, loss, outputs, STRENGTHS[best : best + 1], steps=_LAST_STEPS)[0]
    return Probe(
        (layer[:, :-1] @ back_RD).float(),
        layer[:, -1].float(),
        STRENGTHS[best],
        tuple(losses_S),
        judged[best][0].numpy(),
    )


def softening(probe: Probe, items: ProbeItems, loss: Loss) -> float:
    """Return the factor of outputs, 0..1, with which a training starts well.

    A probe with more features than items is nearly sure of each item that it was fitted to. What
    its gradient says there is chance, and each step moves outputs by much, so that the first steps
    lead anywhere. At one factor it is as unsure of these items as it was of held-out ones. The
    square of that is taken, since training makes outputs sure again. More items bring it nearer
    to 1. A temperature takes the factor back. Values have none, so theirs is 1.

    Args:
        probe: Fitted to the items.
        items: Those.
        loss: Label smoothing is left out.
    """
    if loss.name == "mse":
        return 1.0
    loss = replace(loss, label_smoothing=0.0)
    outputs_NK = items.scaled_ND.double() @ probe.weight_KD.double().T + probe.bias_K.double()

    def found(factor: float) -> float:
        return float(mean(*loss.sums(factor * outputs_NK, items.targets_N, items.weights_N)))

    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if found(middle) < probe.held_out else (middle, high)
    return max(high**2, _SOFTEST)


def _reduce(rows_ND: Tensor) -> tuple[Tensor, Tensor]:
    """Turn features so that as few as possible are not zero; the optimum turns along.

    Returns:
        [N, R] with R at most N; and [R, D], which turns weights back.
    """
    if len(rows_ND) >= rows_ND.shape[1]:
        return rows_ND, torch.eye(rows_ND.shape[1], dtype=rows_ND.dtype)
    squares_N, vectors_NN = torch.linalg.eigh(rows_ND @ rows_ND.T)
    kept = squares_N > _TINY * squares_N[-1].clamp(min=torch.finfo(squares_N.dtype).tiny)
    sizes_R, vectors_NR = squares_N[kept].sqrt(), vectors_NN[:, kept]
    return vectors_NR * sizes_R, (vectors_NR / sizes_R).T @ rows_ND


def _path(
    items: ProbeItems,
    loss: Loss,
    outputs: int,
    strengths: Sequence[float] = STRENGTHS,
    *,
    steps: int = _STEPS,
) -> list[Tensor]:
    """Return the layer [K, R + 1] of each strength; the last column is the bias."""
    rows = items.scaled_ND
    layer = torch.zeros(outputs, rows.shape[1] + 1, dtype=rows.dtype, requires_grad=True)
    found = []
    for strength in strengths:
        solver = torch.optim.LBFGS(
            [layer],
            max_iter=steps,
            history_size=10,
            tolerance_grad=1e-7,
            tolerance_change=1e-13,
            line_search_fn="strong_wolfe",
        )

        def closure(strength: float = strength, solver: torch.optim.LBFGS = solver) -> Tensor:
            solver.zero_grad()
            fit = mean(*loss.sums(_apply(layer, rows), items.targets_N, items.weights_N))
            value = fit + strength / 2 * layer[:, :-1].square().sum()
            value.backward()
            return value

        solver.step(closure)
        found.append(layer.detach().clone())
    return found


def _apply(layer: Tensor, rows: Tensor) -> Tensor:
    return rows @ layer[:, :-1].T + layer[:, -1]
