"""Gradients of depthwise convolutions under bfloat16 on CPUs, by the kernels that are fast there.

oneDNN's bfloat16 kernels for these gradients are slow where a kernel is larger than 3 x 3 or has a
stride, and took most of a training step. Here the gradient of the input is a forward convolution
with the kernel turned around, or, with a stride, computed in single precision; that of the kernel
is computed in pieces of 3 x 3, each from a shifted view of the input. The forward pass stays as it
is, to the bit. `bench/training.py` has the figures.

Axes: B = items, C = channels, H = W = size, k = kernel.
"""

import types
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.picture.net.cpu.padding import zero_padding

_PIECE = 3
"""Side of the largest kernel whose gradient oneDNN computes fast in bfloat16."""

_backward = torch.ops.aten.convolution_backward


class _Depthwise(torch.autograd.Function):
    """A depthwise convolution of [B, C, H, W], without padding and dilation."""

    @staticmethod
    def forward(
        ctx: Any, values: Tensor, weight: Tensor, bias: Tensor | None, stride: tuple[int, int]
    ) -> Tensor:
        """Convolve with [C, 1, k, k]."""
        ctx.save_for_backward(values, weight)
        ctx.stride = stride
        return functional.conv2d(values, weight, bias, stride, groups=len(weight))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of input, weight and bias."""
        values, weight = ctx.saved_tensors
        given = gradients[0].contiguous(memory_format=torch.channels_last)
        needs_values, needs_weight, needs_bias, _ = ctx.needs_input_grad
        return (
            _of_values(given, values, weight, ctx.stride) if needs_values else None,
            _of_weight(given, values, weight, ctx.stride) if needs_weight else None,
            given.sum((0, 2, 3), dtype=torch.float32).to(weight.dtype) if needs_bias else None,
            None,
        )


def speed_up_gradients(model: nn.Module) -> None:
    """Have the depthwise convolutions of a model compute gradients the fast way.

    It acts on the CPU under bfloat16 autocast while gradients are recorded, and nowhere else.
    """
    for module in model.modules():
        if isinstance(module, nn.Conv2d) and 1 < module.groups == module.in_channels:
            module.forward = types.MethodType(_forward, module)  # type: ignore[method-assign]


def _forward(conv: nn.Conv2d, values: Tensor) -> Tensor:
    is_slow = (
        values.device.type == "cpu"
        and torch.is_grad_enabled()
        and torch.is_autocast_enabled("cpu")
        and torch.get_autocast_dtype("cpu") == torch.bfloat16
    )
    if not (is_slow and _is_plain(conv)):
        plain: Tensor = type(conv).forward(conv, values)
        return plain
    (top, bottom), (left, right) = zero_padding(conv, values.shape[2:])
    bias = None if conv.bias is None else conv.bias.to(torch.bfloat16)
    with torch.autocast("cpu", enabled=False):
        low, weight = values.to(torch.bfloat16), conv.weight.to(torch.bfloat16)
        padded = functional.pad(low, (left, right, top, bottom))
        result: Tensor = _Depthwise.apply(padded, weight, bias, conv.stride)
    return result


def _is_plain(conv: nn.Conv2d) -> bool:
    """Return whether each channel gives one, zeros are padded by number, and nothing is dilated."""
    return (
        conv.groups == conv.out_channels
        and conv.padding_mode == "zeros"
        and not isinstance(conv.padding, str)
        and max(conv.dilation) == 1
    )


def _of_values(given: Tensor, values: Tensor, weight: Tensor, stride: tuple[int, int]) -> Tensor:
    """Return the gradient of the input."""
    height, width = weight.shape[2:]
    if max(stride) == 1:
        around = (height - 1, width - 1)
        return functional.conv2d(given, weight.flip(2, 3), padding=around, groups=len(weight))
    single: Tensor = _backward(
        given.float(),
        values.float(),
        weight.float(),
        None,
        stride,
        (0, 0),
        (1, 1),
        False,
        (0, 0),
        len(weight),
        (True, False, False),
    )[0]
    return single.to(values.dtype)


def _of_weight(given: Tensor, values: Tensor, weight: Tensor, stride: tuple[int, int]) -> Tensor:
    """Return the gradient of the kernel, piece by piece; pieces may overlap."""
    gradient = torch.empty_like(weight)
    (height, width), (down, across) = weight.shape[2:], stride
    for top in _starts(height):
        for left in _starts(width):
            piece = weight[:, :, top : top + _PIECE, left : left + _PIECE]
            rows, columns = piece.shape[2:]
            seen = values[
                :,
                :,
                top : top + (given.shape[2] - 1) * down + rows,
                left : left + (given.shape[3] - 1) * across + columns,
            ]
            gradient[:, :, top : top + rows, left : left + columns] = _backward(
                given,
                seen,
                piece,
                None,
                stride,
                (0, 0),
                (1, 1),
                False,
                (0, 0),
                len(weight),
                (False, True, False),
            )[1]
    return gradient


def _starts(size: int) -> list[int]:
    """Return where pieces start that cover an axis of a kernel."""
    last = max(0, size - _PIECE)
    return sorted({min(start, last) for start in range(0, size, _PIECE)})
