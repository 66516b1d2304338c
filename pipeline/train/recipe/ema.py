"""A running average of the weights, which is what gets validated and kept (EMA).

Source: Polyak and Juditsky (1992); the exponential form with a warm-up of its decay as in Tarvainen
and Valpola (2017).
"""

import copy

import torch
from torch import Tensor, nn


class Average:
    """The average of a model over its steps.

    Args:
        model: As it is before the first step.
        decay: Share of the average that a step leaves, in (0, 1); smaller in the first steps.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.model = copy.deepcopy(model).requires_grad_(requires_grad=False)

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        """Take in a model after a step.

        Args:
            model: The one that is trained.
            step: Number of steps before this one, over all epochs.
        """
        decay = min(self.decay, (1 + step) / (10 + step))
        own, new = self._pairs(model)
        if own:
            torch._foreach_lerp_(own, new, 1 - decay)

    def _pairs(self, model: nn.Module) -> tuple[list[Tensor], list[Tensor]]:
        """Return what is averaged, there and here; whole numbers are copied at once."""
        own, new = [], []
        for average, value in zip(_tensors(self.model), _tensors(model), strict=True):
            if average.is_floating_point():
                own.append(average)
                new.append(value)
            else:
                average.copy_(value)
        return own, new


def _tensors(model: nn.Module) -> list[Tensor]:
    return list(model.state_dict().values())
