"""The part that is ours to train: scaled features, dropout, one linear layer.

Axes: N = items of a split, B = items of a batch, D = features, K = outputs (classes, or 1).
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

_FIT_ROWS = 8192
"""Rows summed at once; bounds memory."""

_MIN_RELATIVE_STD = 1e-6
"""Below this part of its size a feature's deviation is rounding noise."""

_MIN_STD_SHARE = 0.1
"""Of the median deviation: the least that a feature is scaled by."""


class Head(nn.Module):
    """Outputs from pooled features.

    Weights start at zero: with one layer there is no symmetry to break, every class starts equally
    likely, and no random numbers are needed. The scaling starts as the identity.

    Args:
        in_features: D.
        out_features: K.
        dropout: Share of features set to zero while training, in [0, 1).
        unit: Make each item's features a vector of length 1, before the mean is taken from it and
            after, and divide by no deviation: so no feature of any item is longer than 1.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self, in_features: int, out_features: int, *, dropout: float, unit: bool = False
    ) -> None:
        super().__init__()
        self.in_features = in_features
        self.out_features = out_features
        self.dropout = dropout
        self.unit = unit
        self.weight = nn.Parameter(torch.zeros(out_features, in_features))
        self.bias = nn.Parameter(torch.zeros(out_features))
        self.register_buffer("mean", torch.zeros(in_features))
        self.register_buffer("std", torch.ones(in_features))

    @torch.no_grad()
    def fit_scaling(self, features_ND: Tensor) -> None:
        """Scale features over these rows: mean 0, equal deviations, squares that sum to 1.

        So a step of one learning rate moves the outputs by as much whatever D is, and one rate
        serves the head and the layers below it. Pass the train split and nothing else. A feature
        that is constant there becomes 0 there, and one that hardly varies is not blown up: its
        deviation counts as a tenth of the median one. Else it would rule the outputs of items
        in which it does vary, and of all items once the layers below it move. Sums are taken in
        float64.

        Args:
            features_ND: float32, finite, at least one row.
        """
        rows = features_ND.split(_FIT_ROWS)
        mean = sum((part.double().sum(0) for part in rows), torch.zeros(())) / len(features_ND)
        squares = ((part.double() - mean).square().sum(0) for part in rows)
        std = (sum(squares, torch.zeros(())) / len(features_ND)).sqrt()
        varied = std[std > _MIN_RELATIVE_STD * mean.abs()]
        least = _MIN_STD_SHARE * float(varied.median()) if len(varied) else 1.0
        self.mean.copy_(mean)
        self.std.copy_(std.clamp(min=least) * math.sqrt(self.in_features))

    def forward(self, features_BD: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Return outputs, float32 [B, K], whatever the precision around.

        Args:
            features_BD: As they come from the backbone, unscaled.
            generator: Of dropout; None takes torch's own. Unused in eval mode.
        """
        with torch.autocast(features_BD.device.type, enabled=False):
            inputs = self.inputs(features_BD, generator)
            return functional.linear(inputs, self.weight, self.bias)

    def inputs(self, features_BD: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Return what the linear layer takes, float32 [B, D]: scaled, with dropout in training."""
        return self._drop(self.scale(features_BD), generator)

    def by_row(self, features_BD: Tensor) -> Tensor:
        """Return the outputs of eval mode, each row computed by itself.

        In one product over the batch, a row's last bits depend on its place in it: matrix kernels
        treat rows at the edge of a tile otherwise (2 outputs, 2561 features, 32 rows on AVX-512:
        24 rows differ from the first for equal input). Predictions must not. Row by row takes 0.1
        ms for 32 rows of 2560 features and 2 outputs.
        """
        with torch.autocast(features_BD.device.type, enabled=False):
            rows = [torch.mv(self.weight, row.clone()) for row in self.scale(features_BD)]
            return torch.stack(rows) + self.bias

    def scale(self, features_BD: Tensor) -> Tensor:
        """Return features as the linear layer takes them, float32 [B, D]."""
        if self.unit:
            return functional.normalize(functional.normalize(features_BD.float()) - self.mean)
        return (features_BD.float() - self.mean) / self.std

    def _drop(self, scaled_BD: Tensor, generator: torch.Generator | None) -> Tensor:
        if not self.training or self.dropout == 0:
            return scaled_BD
        kept = torch.empty_like(scaled_BD).bernoulli_(1 - self.dropout, generator=generator)
        return scaled_BD * kept / (1 - self.dropout)
