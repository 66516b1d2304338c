"""How an epoch becomes batches, and a batch a change of weights: a `Method`, which can be replaced.

Axes: B items of a batch, K outputs.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from pipeline.ground.errors import ParamsError
from pipeline.train.plan import Recipe
from pipeline.train.ranks import ALONE, Ranks
from pipeline.train.recipe import losses
from pipeline.train.recipe.ema import Average
from pipeline.train.recipe.losses import Loss
from pipeline.train.recipe.mixing import Mix
from pipeline.train.recipe.optim import clip_gradients

_POOLED = 8
"""Batches that items are changed between."""


@dataclass(frozen=True)
class Learner:
    """What learns, and how; everything in it but `loss` and `score` changes while it does."""

    model: nn.Module
    optimizer: Optimizer
    loss: Loss
    score: Callable[[Tensor, Tensor], Mapping[str, float]]
    """Outputs [N, K] and targets of validation, on the CPU, to metrics."""

    autocast: Callable[[], AbstractContextManager[Any]] = nullcontext
    """The precision that the model computes in."""

    groups: Sequence[Sequence[nn.Parameter]] = ()
    """What is trained, by stage, lowest first; only unfreezing asks."""

    average: Average | None = None
    """The average of the model's weights, where it is what is kept."""

    ranks: Ranks = ALONE
    """Who shares the work."""

    @property
    def kept(self) -> nn.Module:
        """What is validated, and kept of the best epoch."""
        return self.model if self.average is None else self.average.model

    @property
    def models(self) -> list[nn.Module]:
        """Return all that training changes."""
        return [self.model] if self.average is None else [self.model, self.average.model]


class Batch(NamedTuple):
    """The items of one step."""

    inputs: Tensor
    targets_B: Tensor
    weights_B: Tensor
    mix: Mix | None
    items: np.ndarray | None = None
    """Their places in train."""


class Method(NamedTuple):
    """How an epoch is trained."""

    batches: Callable[[np.ndarray, Recipe], Sequence[np.ndarray]]
    """A random order of all items to the items of each step."""

    step: Callable[[Learner, Batch, Recipe], Tensor]
    """Change the weights; give the sum of the losses and of the weights, without waiting."""

    tells_loss: bool = True
    """False where the loss on train must not be known; the items of steps are then left as they
    were drawn."""


def equal_parts(order: np.ndarray, recipe: Recipe) -> Sequence[np.ndarray]:
    """Split an epoch into parts of nearly equal size.

    A last batch of one or two items would weigh as much as a full one and has no batch statistics.
    """
    return np.array_split(order, count_batches(len(order), recipe.train.batch_size))


def make_alike(
    batches: Sequence[np.ndarray], sizes_N: np.ndarray, generator: np.random.Generator
) -> list[np.ndarray]:
    """Change items between batches that are near each other, so that those of one are alike.

    Args:
        batches: Of items in a random order; each keeps its number of items, in another order.
        sizes_N: Of all items.
        generator: Decides that order.
    """
    found = []
    for first in range(0, len(batches), _POOLED):
        pool = batches[first : first + _POOLED]
        items = np.concatenate(pool)
        items = items[np.argsort(sizes_N[items], kind="stable")]
        parts = np.split(items, np.cumsum([len(each) for each in pool])[:-1])
        found += [parts[place] for place in generator.permutation(len(parts))]
    return found


def count_batches(items: int, batch_size: int | Literal["full"]) -> int:
    """Return the number of steps in an epoch."""
    return 1 if batch_size == "full" else math.ceil(items / batch_size)


def mean_step(learner: Learner, batch: Batch, recipe: Recipe) -> Tensor:
    """Take a step along the gradient of the mean loss, clipped."""
    total, weight = loss_sums(learner, batch)
    learner.optimizer.zero_grad(set_to_none=True)
    losses.mean(total, weight).backward()
    clip_gradients(learner.model.parameters(), recipe.optim.clip_norm)
    learner.optimizer.step()
    return torch.stack([total.detach(), weight])


PLAIN = Method(equal_parts, mean_step)


def loss_sums(learner: Learner, batch: Batch) -> tuple[Tensor, Tensor]:
    """Return the sum of the losses and of the weights.

    Raises:
        ParamsError: There is one item, of which a normalization has no statistics.
    """
    with learner.autocast():
        outputs_BK = _outputs(learner.model, batch.inputs)
    return _sums(learner.loss, outputs_BK, batch)


def _outputs(model: nn.Module, inputs: Tensor) -> Tensor:
    """Return the outputs of a step, or of a part of one.

    Raises:
        ParamsError: It has one item, and a normalization needs more for its statistics. Which
            does depends on the sizes of maps; so it is tried.
    """
    try:
        outputs: Tensor = model(inputs)
    except ValueError as error:
        if len(inputs) > 1 or "more than 1 value per channel" not in str(error):
            raise
        raise ParamsError(
            "params.yaml",
            "leaves a step, or a part of one, with one item, of which a batch has no statistics",
            field="train.batch_size",
            remedy="raise it, lower train.parts, or set train.batch_norm to stored",
        ) from error
    return outputs


def _sums(loss: Loss, outputs_BK: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
    """Return the sum of the losses and of the weights; a mixed item has two targets."""
    targets_B, weights_B, mix = batch.targets_B, batch.weights_B, batch.mix
    if mix is None:
        return loss.sums(outputs_BK, targets_B, weights_B)
    others = mix.partners_B
    own = loss.sums(outputs_BK, targets_B, weights_B * mix.shares_B)
    other = loss.sums(outputs_BK, targets_B[others], weights_B[others] * (1 - mix.shares_B))
    return own[0] + other[0], own[1] + other[1]
