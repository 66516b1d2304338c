"""The whole model: uint8 pictures in, outputs out.

Axes: B = pictures, H = W = size, D = pooled features, K = outputs (classes, or 1).
"""

import torch
from torch import Tensor, nn

from pipeline.model.head import Head
from pipeline.picture.net.backbones import Backbone
from pipeline.picture.net.params import Pooling
from pipeline.picture.shelf.normalization import Normalization


class Trunk(nn.Module):
    """What can be computed once and kept: normalization, backbone, pooling.

    Run it inside `Runtime.autocast()`, which sets the precision of the backbone.

    Args:
        backbone: Pretrained or not.
        normalization: How bytes become numbers.
        pooling: Over the last feature map.
    """

    multiplier: Tensor
    offset: Tensor

    def __init__(
        self, backbone: Backbone, *, normalization: Normalization, pooling: Pooling
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.normalization = normalization
        self.pooling: Pooling = pooling
        self.is_folded = False
        # not persistent: `normalization` says the same, exactly
        for name in ("multiplier", "offset"):
            values = torch.from_numpy(getattr(normalization, name)).view(-1, 1, 1)
            self.register_buffer(name, values, persistent=False)

    @property
    def dim(self) -> int:
        """D, the number of pooled features."""
        return self.backbone.pooled_dim(self.pooling)

    def normalize(self, images_BCHW: Tensor) -> Tensor:
        """Return what the backbone gets: float32, channels last.

        Args:
            images_BCHW: uint8, or float32 on the same scale 0..255, as augmentation gives it.
        """
        # two operations: a fused one rounds the last pixels of a thread's share differently
        values = images_BCHW.to(torch.float32, copy=True).mul_(self.multiplier).add_(self.offset)
        return values.contiguous(memory_format=torch.channels_last)

    def pooled(self, images_BCHW: Tensor) -> Tensor:
        """Return pooled features of uint8 pictures: float32 [B, D]."""
        return self.backbone.pooled(self.normalize(images_BCHW), self.pooling)

    def fold(self) -> None:
        """Make ready for inference: eval mode, batch normalization folded, convolutions fused.

        Whoever computes features or predictions calls it, so that all compute the same. There is no
        way back, and a folded model cannot be saved. A second call changes nothing.
        """
        if self.is_folded:
            return
        self.eval().requires_grad_(requires_grad=False)
        self.backbone.fold()
        self.is_folded = True


class Network(Trunk):
    """A trunk with a head on it.

    Args:
        backbone: Pretrained or not.
        head: Takes as many features as the pooled backbone gives.
        normalization: How bytes become numbers.
        pooling: Over the last feature map.
    """

    def __init__(
        self, backbone: Backbone, head: Head, *, normalization: Normalization, pooling: Pooling
    ) -> None:
        super().__init__(backbone, normalization=normalization, pooling=pooling)
        self.head = head
        if head.in_features != self.dim:
            raise ValueError(f"the head takes {head.in_features} features, there are {self.dim}")

    def forward(self, images_BCHW: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Return outputs, float32 [B, K].

        In eval mode a picture's outputs do not depend on its place in the batch, nor on the others
        there; the batch's shape they may depend on.

        Args:
            images_BCHW: uint8, or float32 on the same scale.
            generator: Of dropout while training; None takes torch's own.
        """
        return self.head_outputs(self.pooled(images_BCHW), generator)

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
        if activations.ndim == 4:
            activations = activations.contiguous(memory_format=torch.channels_last)
        backbone = self.network.backbone
        features = backbone.upper(activations, self.cut)
        return self.network.head_outputs(backbone.pool(features, self.network.pooling), generator)
