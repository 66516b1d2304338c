"""Clipped gradients of a whole network, unit by unit: for layers with no shorter way.

A pass for each unit holds one gradient in memory, works for every layer, and takes its time.

Axes: B items of a batch, V units in it.
"""

import torch
from torch import Tensor, nn

from pipeline.train.step import Batch, Learner, loss_sums

_ITEMS = 32
"""Of a unit that are computed at once."""


def sums_by_unit(learner: Learner, batch: Batch, units_B: Tensor, *, clip: float) -> list[Tensor]:
    """Return for each parameter that learns the sum of the units' gradients, each clipped.

    Args:
        learner: Its model is in train mode.
        batch: At least one item.
        units_B: int64, the unit of each item in the batch, from 0, without gaps.
        clip: The longest that a unit's gradient stays, over all parameters.
    """
    parameters = [each for each in learner.model.parameters() if each.requires_grad]
    totals = [torch.zeros_like(each) for each in parameters]
    counts = torch.bincount(units_B).tolist()
    for rows in torch.argsort(units_B, stable=True).split(counts):
        found = _of_unit(learner, batch, parameters, rows)
        length = torch.linalg.vector_norm(torch.stack([each.norm() for each in found]))
        torch._foreach_mul_(found, clip / length.clamp(min=clip))
        torch._foreach_add_(totals, found)
    return totals


def _of_unit(
    learner: Learner, batch: Batch, parameters: list[nn.Parameter], rows: Tensor
) -> list[Tensor]:
    """Return the mean of the gradients of a unit's items, by parameter."""
    found = [torch.zeros_like(each) for each in parameters]
    for some in rows.to(batch.targets_B.device).split(_ITEMS):
        part = Batch(batch.inputs[some], batch.targets_B[some], batch.weights_B[some], None)
        total, _ = loss_sums(learner, part)
        gradients = torch.autograd.grad(
            total / len(rows), parameters, allow_unused=True, materialize_grads=True
        )
        torch._foreach_add_(found, list(gradients))
    return found
