"""The whole model: rows of the store in, outputs out.

Axes: B = items of a batch, D = pooled features, K = outputs (classes, or 1).
"""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn

from pipeline.modality.nets import Normalization
from pipeline.modality.types.backbone import Backbone
from pipeline.modality.types.params import Pooling
from pipeline.model.head import Head
from pipeline.store.shards import Rows


class Trunk(nn.Module):
    """What can be computed once and kept: normalization, backbone, pooling.

    Run it inside `Runtime.autocast()`, which sets the precision of the backbone.

    Args:
        backbone: Pretrained or not.
        normalization: How rows become what the backbone takes.
        pooling: Over the last features.
    """

    def __init__(
        self, backbone: Backbone, *, normalization: Normalization, pooling: Pooling
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.normalization = normalization
        self.pooling: Pooling = pooling
        self.is_folded = False
        self.prepare = backbone.prepare(normalization)

    @property
    def dim(self) -> int:
        """D, the number of pooled features."""
        return self.backbone.pooled_dim(self.pooling)

    def pooled(self, rows: Tensor) -> Tensor:
        """Return pooled features of rows: float32 [B, D]."""
        return self.backbone.pooled(self.prepare(rows), self.pooling)

    def fold(self) -> None:
        """Make ready for inference: eval mode, and the backbone's layers merged where they can be.

        Whoever computes features or predictions calls it, so that all compute the same. There is no
        way back, and a folded model cannot be saved. A second call changes nothing. What is merged
        is proven in single precision, whatever the precision around.
        """
        if self.is_folded:
            return
        self.eval().requires_grad_(requires_grad=False)
        with torch.autocast("cpu", enabled=False):
            self.backbone.fold()
        self.is_folded = True


class Network(Trunk):
    """A trunk with a head on it.

    Args:
        backbone: Pretrained or not.
        head: Takes as many features as the pooled backbone gives.
        normalization: How rows become what the backbone takes.
        pooling: Over the last features.
    """

    def __init__(
        self, backbone: Backbone, head: Head, *, normalization: Normalization, pooling: Pooling
    ) -> None:
        super().__init__(backbone, normalization=normalization, pooling=pooling)
        self.head = head
        if head.in_features != self.dim:
            raise ValueError(f"the head takes {head.in_features} features, there are {self.dim}")

    def forward(self, rows: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Return outputs, float32 [B, K].

        In eval mode an item's outputs do not depend on its place in the batch, nor on the others
        there; the batch's shape they may depend on.

        Args:
            rows: As the store has them, or augmented.
            generator: Of dropout while training; None takes torch's own.
        """
        return self.head_outputs(self.pooled(rows), generator)

    def head_outputs(self, features_BD: Tensor, generator: torch.Generator | None) -> Tensor:
        """Return outputs from pooled features, float32 [B, K]."""
        if self.training:
            outputs: Tensor = self.head(features_BD, generator)
            return outputs
        return self.head.by_row(features_BD)


class Upper(nn.Module):
    """What is above a cut of a network, fed with the activations there.

    It shares the network's modules: what it learns, the network knows.

    Args:
        network: The whole.
        cut: Name of the lowest step that runs here.
    """

    def __init__(self, network: Network, cut: str) -> None:
        super().__init__()
        self.network = network
        self.cut = cut

    def forward(self, activations: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Return outputs, float32 [B, K].

        Args:
            activations: float32 [B, ...], as the steps below the cut give them.
            generator: Of dropout while training; None takes torch's own.
        """
        kind = activations.device.type
        if torch.is_autocast_enabled(kind):  # as they come from below in the whole network
            activations = activations.to(torch.get_autocast_dtype(kind))
        backbone = self.network.backbone
        features = backbone.upper(activations, self.cut)
        return self.network.head_outputs(backbone.pool(features, self.network.pooling), generator)


def batches_of_one_size(rows: Rows, sizes: Rows, most: int) -> Iterator[Rows]:
    """Part rows, sorted by their sizes, into batches of at most so many, each of one size."""
    for part in np.split(rows, np.flatnonzero(np.diff(sizes)) + 1):
        for first in range(0, len(part), most):
            yield part[first : first + most]
