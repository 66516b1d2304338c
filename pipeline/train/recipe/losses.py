"""What is minimized: a weighted mean over items of cross-entropy or squared error.

Axes: B items of a batch, K classes (or 1 value).
"""

from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from pipeline.train.recipe.params import LossParams


@dataclass(frozen=True)
class Loss:
    """A loss for each item, and a weight for each; the loss of any set is the weighted mean."""

    name: Literal["cross_entropy", "mse"]
    label_smoothing: float
    class_weights_K: Tensor | None
    """float32 on the outputs' device; None: all classes weigh 1."""

    def to(self, device: torch.device | str) -> "Loss":
        """Return the same loss for outputs on a device."""
        weights = self.class_weights_K
        return replace(self, class_weights_K=None if weights is None else weights.to(device))

    def sums(self, outputs: Tensor, targets_B: Tensor, weights_B: Tensor) -> tuple[Tensor, Tensor]:
        """Return the weighted sum of the items' losses, and the sum of the weights.

        Args:
            outputs: [B, K] logits, or [B, 1] values.
            targets_B: int64 class numbers, or float32 values.
            weights_B: float32, at least 0.
        """
        losses_B, weights_B = self.by_item(outputs, targets_B, weights_B)
        return losses_B.sum(), weights_B.sum()

    def by_item(
        self, outputs: Tensor, targets_B: Tensor, weights_B: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return the items' losses times their weights, and the weights, [B] each.

        Computed in single precision, or in double where the outputs are.
        """
        if outputs.dtype != torch.float64:
            outputs = outputs.float()
        if self.name == "mse":
            losses_B = (outputs.squeeze(1) - targets_B).square()
        else:
            losses_B = functional.cross_entropy(
                outputs, targets_B, reduction="none", label_smoothing=self.label_smoothing
            )
            if self.class_weights_K is not None:
                weights_B = weights_B * self.class_weights_K[targets_B]
        return losses_B * weights_B, weights_B


def mean(total: Tensor, weight: Tensor) -> Tensor:
    """Return the weighted mean; 0 where all weights are 0, so that such a batch moves nothing."""
    return total / divisor(weight)


def divisor(weight: Tensor) -> Tensor:
    """Return what a sum of losses is divided by: its weight, or the least number above 0."""
    return weight.clamp(min=torch.finfo(weight.dtype).tiny)


def build_loss(params: LossParams, labels_N: Tensor, *, weights_N: Tensor, classes: int) -> Loss:
    """Build the loss; balanced class weights are measured on the train split.

    Args:
        params: Checked by `recipe_rules.check_loss`.
        labels_N: The train split's targets, on the device that training uses.
        weights_N: Their sample weights, float32.
        classes: K; 0 for regression.
    """
    balanced = params.class_weights == "balanced"
    return Loss(
        params.name,
        params.label_smoothing,
        balanced_weights(labels_N, weights_N, classes) if balanced else None,
    )


def balanced_weights(labels_N: Tensor, weights_N: Tensor, classes: int) -> Tensor:
    """Return each class the weight with which all classes weigh the same in total.

    The weights keep the total weight of the split. A class that has none in it keeps weight 1.
    """
    totals_K = torch.zeros(classes, dtype=torch.float64)
    totals_K.index_add_(0, labels_N.cpu(), weights_N.double().cpu())
    present_K = totals_K > 0
    even = totals_K.sum() / present_K.sum().clamp(min=1)
    weights_K = torch.where(present_K, even / totals_K.clamp(min=1e-300), torch.ones(()).double())
    return weights_K.float().to(labels_N.device)
