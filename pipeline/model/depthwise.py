"""Depthwise convolutions whose gradients are computed in single precision, on CPUs, under bfloat16.

oneDNN has no fast kernel for the bfloat16 gradients of a depthwise convolution: they took most of a
training step (EfficientNet-Lite0 from block 4 upwards, 2 threads: 101 pictures/s; with this 150;
all in single precision 125). The forward pass stays as it is, to the bit.
"""

import math
import types
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional


class _Depthwise(torch.autograd.Function):
    """A depthwise convolution, forward in the type of its input, backward in float32."""

    @staticmethod
    def forward(
        ctx: Any, values: Tensor, weight: Tensor, bias: Tensor | None, options: tuple[Any, ...]
    ) -> Tensor:
        """Convolve; `options` are stride, padding, dilation and groups."""
        ctx.save_for_backward(values, weight)
        ctx.options, ctx.bias_sizes = options, None if bias is None else list(bias.shape)
        return functional.conv2d(values, weight, bias, *options)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Give the gradients of input, weight and bias."""
        values, weight = ctx.saved_tensors
        stride, padding, dilation, groups = ctx.options
        mask = (ctx.needs_input_grad[0], ctx.needs_input_grad[1], ctx.bias_sizes is not None)
        of_values, of_weight, of_bias = torch.ops.aten.convolution_backward(
            gradients[0].float(), values.float(), weight.float(), ctx.bias_sizes, stride, padding,
            dilation, False, (0, 0), groups, mask,
        )  # fmt: skip
        return (
            None if of_values is None else of_values.to(values.dtype),
            None if of_weight is None else of_weight.to(weight.dtype),
            None if of_bias is None else of_bias.to(weight.dtype),
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
    if not is_slow or conv.padding_mode != "zeros" or isinstance(conv.padding, str):
        plain: Tensor = type(conv).forward(conv, values)
        return plain
    padding: Any = conv.padding
    if type(conv).__name__ == "Conv2dSame":  # of timm: pads to ceil(size / stride) first
        values, padding = _pad_same(values, conv), (0, 0)
    bias = None if conv.bias is None else conv.bias.to(torch.bfloat16)
    options = (conv.stride, padding, conv.dilation, conv.groups)
    with torch.autocast("cpu", enabled=False):
        low, weight = values.to(torch.bfloat16), conv.weight.to(torch.bfloat16)
        result: Tensor = _Depthwise.apply(low, weight, bias, options)
    return result


def _pad_same(values: Tensor, conv: nn.Conv2d) -> Tensor:
    pads: list[int] = []
    for size, kernel, stride, dilation in zip(
        reversed(values.shape[-2:]),
        reversed(conv.kernel_size),
        reversed(conv.stride),
        reversed(conv.dilation),
        strict=True,
    ):
        total = max(0, (math.ceil(size / stride) - 1) * stride + (kernel - 1) * dilation + 1 - size)
        pads += [total // 2, total - total // 2]
    return functional.pad(values, pads) if any(pads) else values
