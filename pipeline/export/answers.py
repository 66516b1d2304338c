"""From pooled features to answers, as plain modules of torch that programs without us hold too.

Axes: B = items, D = pooled features, K = outputs.
"""

from typing import Any

import torch
from torch import Tensor, nn

from pipeline.model.bundle import Bundle
from pipeline.model.head import Head


class Answering(nn.Module):
    """What outputs mean.

    Args:
        temperature: Outputs are divided by it before softmax; None for a regression.
        target: Mean and deviation of the target of a regression.
    """

    def __init__(self, temperature: float | None, target: tuple[float, float]) -> None:
        super().__init__()
        self.temperature = temperature
        self.target = target

    def answers(self, outputs_BK: Tensor) -> Tensor:
        """Return probabilities, float32 [B, K], or values, float64 [B, 1]."""
        if self.temperature is None:
            mean, deviation = self.target
            return outputs_BK.double() * deviation + mean
        return torch.softmax(outputs_BK / self.temperature, dim=1)


def answer_arguments(bundle: Bundle) -> dict[str, Any]:
    """Return the arguments of `Answering` by their names."""
    return {
        "temperature": bundle.temperature if bundle.task == "classification" else None,
        "target": (bundle.target_mean, bundle.target_std),
    }


@torch.no_grad()
def fill_classifier(layer: nn.Module, head: Head) -> None:
    """Put a head with the scaling of its features into one linear layer; rounded once.

    Raises:
        TypeError: The layer is another one.
    """
    if not isinstance(layer, nn.Linear) or layer.weight.shape != head.weight.shape:
        raise TypeError("the classifier must be one linear layer on the pooled features")
    weight = head.weight.double() / head.std.double()
    layer.weight.copy_(weight)
    layer.bias.copy_(head.bias.double() - weight @ head.mean.double())
