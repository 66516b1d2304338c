"""Sums of gradients in which no unit counts for more than the clip.

Axes: B items of a batch, V units in it, D features, K outputs.
"""

import torch
from torch import Tensor

from pipeline.model.head import Head
from pipeline.train.private.per_unit import sums_by_unit
from pipeline.train.step import Batch, Learner

_SLACK = 1e-5
"""Relative: clipped sums are so much shorter, more than what rounding to float32 adds."""


def clipped_sums(learner: Learner, batch: Batch, units_B: Tensor, *, clip: float) -> list[Tensor]:
    """Return for each parameter that learns the sum of the units' gradients, each clipped.

    A unit's gradient is the mean of the gradients of its items in the batch. Its length over all
    parameters is at most the clip.

    Args:
        learner: Its model is in train mode.
        batch: May be empty.
        units_B: int64, the unit of each item in the batch, from 0, without gaps.
        clip: Above 0.
    """
    parameters = [each for each in learner.model.parameters() if each.requires_grad]
    if not len(units_B):
        return [torch.zeros_like(each) for each in parameters]
    most = clip * (1 - _SLACK)
    if isinstance(learner.model, Head):
        return _of_head(learner.model, learner, batch, units_B, most)
    return sums_by_unit(learner, batch, units_B, clip=most)


def _of_head(
    head: Head, learner: Learner, batch: Batch, units_B: Tensor, clip: float
) -> list[Tensor]:
    """Return the sums of a linear layer: no item's gradient is written out.

    The gradient of an item is the outer product of that of its outputs and its features, with a 1
    for the bias; so the product of two gradients is the product of two products (Goodfellow 2015).
    """
    with torch.no_grad():
        inputs_BD = head.inputs(batch.inputs)
    outputs_BK = inputs_BD @ head.weight.detach().T + head.bias.detach()
    outputs_BK.requires_grad_()
    losses_B, _ = learner.loss.by_item(outputs_BK, batch.targets_B, batch.weights_B)
    (slopes_BK,) = torch.autograd.grad(losses_B.sum(), outputs_BK)
    units_B = units_B.to(slopes_BK.device)
    counts_V = torch.bincount(units_B)
    slopes_BK = slopes_BK / counts_V[units_B, None]
    squares_V = _squared_lengths(slopes_BK, inputs_BD, units_B, counts_V)
    shares_V = clip / squares_V.sqrt().clamp(min=clip)
    slopes_BK = slopes_BK * shares_V[units_B, None]
    return [slopes_BK.T @ inputs_BD, slopes_BK.sum(dim=0)]


def _squared_lengths(
    slopes_BK: Tensor, inputs_BD: Tensor, units_B: Tensor, counts_V: Tensor
) -> Tensor:
    """Return the squared length of each unit's gradient: [V]."""
    if len(counts_V) == len(units_B):  # one item each
        squares_B = slopes_BK.square().sum(1) * (inputs_BD.square().sum(1) + 1)
        return torch.empty_like(squares_B).index_copy_(0, units_B, squares_B)
    order = torch.argsort(units_B, stable=True)
    lengths = []
    for rows in order.split(counts_V.tolist()):
        slopes, inputs = slopes_BK[rows], inputs_BD[rows]
        lengths.append(((slopes @ slopes.T) * (inputs @ inputs.T + 1)).sum())
    return torch.stack(lengths).clamp(min=0)
