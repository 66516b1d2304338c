"""Convolutions of a folded model as single operations of oneDNN: for inference on a CPU.

torch runs a convolution and its activation one after the other, packs weights anew in each call,
and copies every picture that TensorFlow's padding makes one pixel larger on one side. Here weights
are packed once for a shape of input, the activation is applied before a result leaves the
processor's cache, and where one side gets a zero more than the other, the kernel gets one instead.
It is what torch's compiler calls, without a compiler.

What belongs together is found by running the model once, as in `folding`, and proven on the same
input. On other devices, and while gradients are recorded, the modules act as before.

Axes: B = pictures, C = channels, H = W = size.
"""

import copy
import logging
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.picture.net.cpu.folding import CONVOLUTIONS, find_pairs, relative_change
from pipeline.picture.net.cpu.padding import zero_padding

log = logging.getLogger(__name__)

_ACTIVATIONS: dict[type[nn.Module], tuple[str, list[float]]] = {
    nn.Identity: ("none", []),
    nn.ReLU: ("relu", []),
    nn.ReLU6: ("hardtanh", [0.0, 6.0]),
    nn.SiLU: ("swish", []),
    nn.Hardswish: ("hardswish", []),
}
"""oneDNN's names and parameters."""

_MAX_RELATIVE_CHANGE = 1e-3
"""Of the largest output; measured are 0 to 1e-5, the rounding of float32."""


def fuse(model: nn.Module, images_BCHW: Tensor) -> nn.Module:
    """Return a copy of a model in eval mode with its convolutions fused, if it proves equal.

    Args:
        model: Called with pictures alone; gives one tensor. Its batch normalization is folded.
        images_BCHW: float32 pictures that find the pairs and prove the result.

    Returns:
        The fused copy, or the model itself where nothing can be fused.
    """
    names = [name for name, module in model.named_modules() if _can_fuse(module)]
    if not names or not _is_known():
        return model
    with torch.no_grad():
        pairs, expected = find_pairs(
            model, images_BCHW, lambda module: type(module) in _ACTIVATIONS
        )
        activations = {conv: name for conv, name in pairs if not _is_identity(model, name)}
        fused = copy.deepcopy(model)
        for name in names:
            _fuse(fused, name, activations.get(name))
        change = relative_change(expected, fused(images_BCHW))
    if not change <= _MAX_RELATIVE_CHANGE:
        log.warning("convolutions are not fused: outputs would change by %.1e", change)
        return model
    return fused


class FusedConvolution(nn.Module):
    """A convolution with the activation after it.

    Args:
        convolution: Conv2d, or timm's Conv2dSame, padded with zeros.
        activation: One of those that oneDNN applies itself.
    """

    def __init__(self, convolution: Any, activation: nn.Module) -> None:
        super().__init__()
        self.convolution = convolution
        self.activation = activation
        self._packed: _Packed | None = None

    def forward(self, values: Tensor) -> Tensor:
        """Convolve [B, C, H, W] and activate, in autocast's type where that is on."""
        dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else None
        if values.device.type != "cpu" or torch.is_grad_enabled() or not _computes_in(dtype):
            plain: Tensor = self.activation(self.convolution(values))
            return plain
        if dtype is not None:
            values = values.to(dtype)
        values = values.contiguous(memory_format=torch.channels_last)
        packed = self._pack(values)
        name, numbers = _ACTIVATIONS[type(self.activation)]
        result: Tensor = torch.ops.mkldnn._convolution_pointwise(
            values, packed.weight, packed.bias, *packed.options, name, numbers, ""
        )
        return result

    def __getstate__(self) -> dict[str, Any]:
        """Leave packed weights out of copies: oneDNN's tensors cannot be copied."""
        return {**self.__dict__, "_packed": None}

    def _pack(self, values: Tensor) -> "_Packed":
        """Return the weights as oneDNN wants them for this shape and type of input."""
        packed = self._packed
        if packed is None or not packed.fits(values):  # of the local one: threads may share this
            packed = self._packed = _pack(self.convolution, values)
        return packed


class _Packed(NamedTuple):
    """Weights for one shape and type of input."""

    shape: tuple[int, ...]
    dtype: torch.dtype
    weight: Tensor
    bias: Tensor | None
    options: tuple[Any, ...]
    """Padding, stride, dilation, groups."""

    def fits(self, values: Tensor) -> bool:
        return self.shape == tuple(values.shape) and self.dtype == values.dtype


def _pack(conv: Any, values: Tensor) -> _Packed:
    weight = conv.weight.to(values.dtype)
    (top, bottom), (left, right) = zero_padding(conv, values.shape[2:])
    # A kernel with a row of zeros before it sees what one without sees, a pixel later. So padding
    # is the same on both sides, as oneDNN's operation wants it, and no picture is copied.
    weight = functional.pad(weight, (right - left, 0, bottom - top, 0))
    options = ([bottom, right], list(conv.stride), list(conv.dilation), conv.groups)
    packed = torch.ops.aten.mkldnn_reorder_conv2d_weight(
        weight.to_mkldnn(), *options, list(values.shape)
    )
    bias = None if conv.bias is None else conv.bias.to(values.dtype)
    return _Packed(tuple(values.shape), values.dtype, packed, bias, options)


def _is_known() -> bool:
    """Return whether this is a processor of the kind that it was measured on."""
    capability = torch.backends.cpu.get_cpu_capability()
    return torch.backends.mkldnn.is_available() and capability.startswith("AVX")


def _computes_in(dtype: torch.dtype | None) -> bool:
    """Return whether oneDNN computes in a type here; bfloat16 asks for more than AVX2."""
    return dtype != torch.bfloat16 or bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def _can_fuse(module: nn.Module) -> bool:
    if type(module).__name__ not in CONVOLUTIONS:
        return False
    conv: Any = module
    pads = not isinstance(conv.padding, str) and conv.padding_mode == "zeros"
    return pads and max(conv.dilation) == 1 and conv.weight.dtype == torch.float32


def _is_identity(model: nn.Module, name: str) -> bool:
    return isinstance(model.get_submodule(name), nn.Identity)


def _fuse(model: nn.Module, convolution: str, activation: str | None) -> None:
    partner: nn.Module = nn.Identity()
    if activation is not None:
        partner = model.get_submodule(activation)
        model.set_submodule(activation, nn.Identity())
    model.set_submodule(convolution, FusedConvolution(model.get_submodule(convolution), partner))
