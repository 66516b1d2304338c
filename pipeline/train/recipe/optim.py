"""How the weights move: SGD, Adam or AdamW, with weight decay only where it belongs."""

from collections.abc import Iterable, Sequence
from typing import Any, Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.optim import Optimizer

from pipeline.ground.params import Section


class OptimParams(Section):
    """`optim`: how the weights move."""

    name: Literal["sgd", "adam", "adamw"]
    """`adam` adds weight decay to the gradient, `adamw` shrinks the weights by it directly."""

    lr: float = Field(gt=0.0, le=10.0)
    """Peak learning rate, of a step of one batch; the schedule scales it."""

    momentum: float = Field(ge=0.0, lt=1.0)
    """sgd only."""

    nesterov: bool
    """sgd only: look ahead along the momentum."""

    beta1: float = Field(ge=0.0, lt=1.0)
    """adam and adamw: decay of the mean of gradients."""

    beta2: float = Field(ge=0.0, lt=1.0)
    """adam and adamw: decay of the mean of squared gradients."""

    weight_decay: float = Field(ge=0.0, le=1.0)
    """Not on biases and normalization layers."""

    clip_norm: float = Field(ge=0.0)
    """Largest norm of the whole gradient; 0: off."""

    layer_decay: float = Field(gt=0.0, le=1.0)
    """Learning rate of a stage of the backbone over that of the one above it, the head on top."""

    @model_validator(mode="after")
    def _nesterov_needs_momentum(self) -> Self:
        if self.name == "sgd" and self.nesterov and self.momentum == 0.0:
            raise ValueError(
                "nesterov: true needs a momentum above 0, got 0.0 (set `optim.nesterov: false`)"
            )
        return self


def build_optimizer(groups: Sequence[Sequence[nn.Parameter]], params: OptimParams) -> Optimizer:
    """Build the optimizer of some parameters.

    Args:
        groups: By stage, lowest first; the learning rate decays from the last one downwards.
        params: How they move.
    """
    options = parameter_groups(groups, params)
    if params.name == "sgd":
        return torch.optim.SGD(
            options, lr=params.lr, momentum=params.momentum, nesterov=params.nesterov
        )
    kind = torch.optim.Adam if params.name == "adam" else torch.optim.AdamW
    return kind(options, lr=params.lr, betas=(params.beta1, params.beta2))


def parameter_groups(
    groups: Sequence[Sequence[nn.Parameter]], params: OptimParams
) -> list[dict[str, Any]]:
    """Split parameters by learning rate, and into those that decay and those that do not.

    Biases and the scales and shifts of normalization layers have at most one axis; they do not
    decay. An empty group is left out. `scale` is a group's learning rate over the peak.

    Source: layer-wise decay of the learning rate, Howard and Ruder (2018).
    """
    options = []
    for depth, group in enumerate(reversed(groups)):
        scale = params.layer_decay**depth
        for decays in (True, False):
            chosen = [each for each in group if (each.ndim > 1) == decays]
            decay = params.weight_decay if decays else 0.0
            if chosen:
                options.append({"params": chosen, "weight_decay": decay, "scale": scale})
    return options


def set_lr(optimizer: Optimizer, lr: float) -> None:
    """Set the learning rate of the next step: that of the head; below it is scaled."""
    for group in optimizer.param_groups:
        group["lr"] = lr * group["scale"]


def clip_gradients(parameters: Iterable[Tensor], max_norm: float) -> None:
    """Shorten the whole gradient to `max_norm` where it is longer; 0 leaves it alone."""
    if max_norm > 0.0:
        nn.utils.clip_grad_norm_(parameters, max_norm)
