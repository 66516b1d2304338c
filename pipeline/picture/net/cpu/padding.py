"""How much a convolution pads: torch's Conv2d, and timm's Conv2dSame with TensorFlow's rule."""

import math
from collections.abc import Iterable
from typing import Any

SAME = "Conv2dSame"
"""Class name of timm's convolution that pads to ceil(size / stride)."""


def zero_padding(conv: Any, size: Iterable[int]) -> list[tuple[int, int]]:
    """Return zeros added before and after each axis.

    Args:
        conv: Zero-padded, by numbers.
        size: Height and width of what it gets.
    """
    if type(conv).__name__ != SAME:
        return [(each, each) for each in conv.padding]
    axes = zip(size, conv.kernel_size, conv.stride, conv.dilation, strict=True)
    return [_same(*each) for each in axes]


def _same(size: int, kernel: int, stride: int, dilation: int) -> tuple[int, int]:
    needed = (math.ceil(size / stride) - 1) * stride + (kernel - 1) * dilation + 1
    total = max(0, needed - size)
    return total // 2, total - total // 2
