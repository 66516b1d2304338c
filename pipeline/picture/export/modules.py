"""The exported model as plain modules of torch: what `pt2` and `onnx` are traced from.

The same classes are written into the usage example of the other formats, so that they need torch
and timm alone.

Axes: B = pictures, V = views, C = channels, H = W = size, D = pooled features, K = outputs.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from pipeline.export.answers import Answering


class PooledClassifier(nn.Module):
    """One linear layer on the pooled last feature map of a timm model: normalized pictures in.

    Args:
        backbone: Made by timm with `num_classes=0`.
        pooling: `mean`, `max`, or both, whose features are then joined in this order.
        outputs: K.
    """

    def __init__(self, backbone: Any, pooling: Sequence[str], outputs: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.pooling = tuple(pooling)
        self.classifier = nn.Linear(backbone.head_hidden_size * len(self.pooling), outputs)

    def forward(self, values_BCHW: Tensor) -> Tensor:
        """Return the outputs, float32 [B, K]."""
        features = self.backbone.forward_features(values_BCHW)
        pooled = [self.pool(features, kind) for kind in self.pooling]
        outputs: Tensor = self.classifier(torch.cat(pooled, dim=1))
        return outputs

    def pool(self, features: Tensor, kind: str) -> Tensor:
        """Pool a feature map, or tokens without those for the class, and apply what timm has next.

        Returns:
            float32 [B, D / number of poolings].
        """
        prefix = int(getattr(self.backbone, "num_prefix_tokens", 0))
        axes: tuple[int, ...] = (1,)
        if features.ndim == 4:
            is_last = str(getattr(self.backbone, "output_fmt", "")).endswith("NHWC")
            axes = (1, 2) if is_last else (2, 3)
        else:
            features = features[:, prefix:]
        reduce = torch.amax if kind == "max" else torch.mean
        pooled = reduce(features, axes, keepdim=True)
        if features.ndim == 3:  # timm picks the first token, or averages those after the prefix
            pooled = pooled.expand(-1, prefix + 1, -1)
        result: Tensor = self.backbone.forward_head(pooled, pre_logits=True)
        return result


class PictureModel(Answering):
    """Pictures as bytes in; probabilities, or values in the unit of the target, out.

    Args:
        model: Gives outputs, float32 [B, K], of normalized pictures.
        multiplier: What a byte of each channel is multiplied with.
        offset: What is added after that.
        views: Orientations whose outputs are averaged, as codes of `turned`.
        temperature: Outputs are divided by it before softmax; None for a regression.
        target: Mean and deviation of the target of a regression.
    """

    multiplier: Tensor
    offset: Tensor

    def __init__(
        self,
        model: nn.Module,
        *,
        multiplier: Sequence[float],
        offset: Sequence[float],
        views: Sequence[int],
        temperature: float | None,
        target: tuple[float, float],
    ) -> None:
        super().__init__(temperature, target)
        self.model = model
        self.views = tuple(views)
        self.register_buffer("multiplier", torch.tensor(multiplier).view(-1, 1, 1))
        self.register_buffer("offset", torch.tensor(offset).view(-1, 1, 1))

    def forward(self, pictures: Tensor) -> Tensor:
        """Return probabilities, float32 [B, K], or values, float64 [B, 1].

        Args:
            pictures: uint8 [B, 3, H, W], red, green, blue.
        """
        values = pictures.to(torch.float32) * self.multiplier + self.offset
        views = torch.cat([self.turned(values, code) for code in self.views])
        views = views.contiguous(memory_format=torch.channels_last)  # three times as fast on a CPU
        return self.answers(self.model(views).unflatten(0, (len(self.views), -1)).mean(0))

    @staticmethod
    def turned(values_BCHW: Tensor, code: int) -> Tensor:
        """Transpose and flip; the code sums 4: transpose first, 1: left-right, 2: top-bottom."""
        values = values_BCHW.transpose(-1, -2) if code & 4 else values_BCHW
        axes = [axis for bit, axis in ((1, -1), (2, -2)) if code & bit]
        return values.flip(axes) if axes else values
