"""Shadow heads: linear layers on cached features, each trained on its half of the items.

All are trained at once: a step is one product of a batch with the weights of every head, and each
head's loss counts the items of its half alone.

Axes: S heads, N items, R asked rows, D features, K outputs, B items of a batch.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import torch
from scipy.special import logsumexp
from torch import Tensor, nn

from pipeline.membership.coins import Flags
from pipeline.membership.likelihood import log_likelihood
from pipeline.membership.params import AuditParams
from pipeline.train.recipe.losses import Loss
from pipeline.train.recipe.optim import build_optimizer, set_lr
from pipeline.train.recipe.params import ScheduleParams, optim_of_layer
from pipeline.train.recipe.schedule import lr_factor

_BATCH = 128
_SCHEDULE = ScheduleParams(name="one_cycle", warmup_frac=0.3, final_frac=0.01)
_ANSWERED = 1 << 23
"""Outputs that are held at once."""


@dataclass(frozen=True)
class Shadows:
    """What heads say of items that they saw, and of items that they did not see."""

    inside_SN: Flags
    """Which items each head was trained on."""

    fits_SN: np.ndarray
    """The log of the likelihood that each head gives each item; float64."""

    def scores(self, fits_R: np.ndarray, rows_R: np.ndarray) -> np.ndarray:
        """Return how much better a model knows items than heads do of which half saw them.

        The score is the log of p / ((p_in + p_out) / 2): the item's likelihood under the model
        over its mean likelihood, under heads that saw it and under heads that did not. What is
        hard or easy for every model cancels out.

        Source: the ratio of RMIA, Zarifzadeh et al. (2024). There each ratio is compared with those
        of a population; with one population for all items this leaves their order as it is.

        Args:
            fits_R: The log of the likelihood under the model.
            rows_R: Of which items.
        """
        inside_SR, fits_SR = self.inside_SN[:, rows_R], self.fits_SN[:, rows_R]
        sides = [
            logsumexp(np.where(chosen, fits_SR, -np.inf), axis=0) - np.log(chosen.sum(axis=0))
            for chosen in (inside_SR, ~inside_SR)
        ]
        expected: np.ndarray = np.logaddexp(*sides) - np.log(2.0)
        return np.asarray(fits_R - expected)

    def expected_outside(self, rows_R: np.ndarray) -> np.ndarray:
        """Return the mean likelihood of items under heads that did not see them, in [0, 1]."""
        outside_SR = ~self.inside_SN[:, rows_R]
        likelihoods = np.where(outside_SR, np.exp(self.fits_SN[:, rows_R]), 0.0)
        found: np.ndarray = likelihoods.sum(axis=0) / outside_SR.sum(axis=0)
        return found

    def without(self, head: int) -> "Shadows":
        """Return the other heads."""
        rest = np.arange(len(self.inside_SN)) != head
        return Shadows(self.inside_SN[rest], self.fits_SN[rest])


def train_shadows(
    scaled_ND: Tensor,
    targets_N: Tensor,
    inside_SN: Flags,
    *,
    outputs: int,
    params: AuditParams,
    generator: np.random.Generator,
) -> Shadows:
    """Train a head on each half, and give what all say of all items.

    Args:
        scaled_ND: float32, features as `Head` scales them, on the device that trains.
        targets_N: int64 class numbers, or float32 standardized values; there too.
        inside_SN: The halves.
        outputs: K; 1 for regression.
        params: Epochs and rate.
        generator: Of the order of items, which is the same for all heads.
    """
    heads, device = len(inside_SN), scaled_ND.device
    layer = [
        nn.Parameter(torch.zeros(heads * outputs, *shape, device=device))
        for shape in (scaled_ND.shape[1:], ())
    ]
    optimizer = build_optimizer([layer], optim_of_layer(params.lr))
    loss = Loss("mse" if targets_N.is_floating_point() else "cross_entropy", 0.0, None)
    inside_NS = torch.from_numpy(inside_SN.T.astype(np.float32)).to(device)
    parts = math.ceil(len(scaled_ND) / _BATCH)
    steps = parts * params.epochs
    epochs = (
        np.array_split(generator.permutation(len(scaled_ND)), parts) for _ in range(params.epochs)
    )
    for step, batch in enumerate(chain.from_iterable(epochs)):
        rows = torch.from_numpy(batch).to(device)
        is_in_BS = inside_NS[rows]
        losses, _ = loss.by_item(
            _apply(layer, scaled_ND[rows], outputs).flatten(0, 1),
            targets_N[rows].repeat_interleave(heads),
            is_in_BS.flatten(),
        )
        optimizer.zero_grad(set_to_none=True)
        # a sum of each head's own mean: no head's gradient knows of the others
        (losses.view_as(is_in_BS) / is_in_BS.sum(0).clamp(min=1)).sum().backward()
        set_lr(optimizer, params.lr * lr_factor(step, steps, _SCHEDULE))
        optimizer.step()
    return Shadows(inside_SN, _answer(layer, scaled_ND, targets_N, outputs))


@torch.no_grad()
def _answer(
    layer: Sequence[Tensor], scaled_ND: Tensor, targets_N: Tensor, outputs: int
) -> np.ndarray:
    rows = max(1, _ANSWERED // len(layer[1]))
    parts = [
        log_likelihood(_apply(layer, scaled, outputs).transpose(0, 1), targets)
        for scaled, targets in zip(scaled_ND.split(rows), targets_N.split(rows), strict=True)
    ]
    found: np.ndarray = torch.cat(parts, dim=1).cpu().numpy()
    return found


def _apply(layer: Sequence[Tensor], rows_BD: Tensor, outputs: int) -> Tensor:
    """Return the outputs of all heads, float32 [B, S, K]."""
    outputs_BL = torch.addmm(layer[1], rows_BD, layer[0].T)
    return outputs_BL.view(len(rows_BD), -1, outputs)
