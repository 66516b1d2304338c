"""From bytes of the store to what a backbone for pictures takes.

Axes: B = pictures, C = channels, H = W = size.
"""

import torch
from torch import Tensor, nn

from pipeline.picture.shelf.normalization import Normalization


class Preparation(nn.Module):
    """A normalization as a layer; it has no trained tensors.

    Args:
        normalization: How bytes become numbers.
    """

    multiplier: Tensor
    offset: Tensor

    def __init__(self, normalization: Normalization) -> None:
        super().__init__()
        # not persistent: `normalization` says the same, exactly
        for name in ("multiplier", "offset"):
            values = torch.from_numpy(getattr(normalization, name)).view(-1, 1, 1)
            self.register_buffer(name, values, persistent=False)

    def forward(self, images_BCHW: Tensor) -> Tensor:
        """Return what the backbone gets: float32, channels last.

        Args:
            images_BCHW: uint8, or float32 on the same scale 0..255, as augmentation gives it.
        """
        # two operations: a fused one rounds the last pixels of a thread's share differently
        values = images_BCHW.to(torch.float32, copy=True).mul_(self.multiplier).add_(self.offset)
        return values.contiguous(memory_format=torch.channels_last)
