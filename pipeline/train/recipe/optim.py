"""How the weights move: SGD, Adam or AdamW, with weight decay only where it belongs."""

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from pipeline.train.recipe.params import OptimParams


def build_optimizer(groups: Sequence[Sequence[nn.Parameter]], params: OptimParams) -> Optimizer:
    """Build the optimizer of some parameters.

    Args:
        groups: By stage, lowest first; the learning rate decays from the last one downwards.
        params: How they move.
    """
    options = parameter_groups(groups, params)
    if params.name == "sgd":
        return torch.optim.SGD(
            options, lr=params.lr, momentum=params.momentum, nesterov=params.nesterov, fused=True
        )
    kind = torch.optim.Adam if params.name == "adam" else torch.optim.AdamW
    return kind(options, lr=params.lr, betas=(params.beta1, params.beta2), fused=True)


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
