"""Batch normalization folded into the convolutions before it: a third faster, for inference only.

What is folded is found by running the model once: a batch normalization whose input is the very
tensor that a convolution gave. The folded model is then proven on the same input; where it gives
something else, the model stays as it was.

Axes: B = pictures, C = channels, H = W = size.
"""

import copy
import logging
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, cast

import torch
from torch import Tensor, nn

log = logging.getLogger(__name__)

CONVOLUTIONS = ("Conv2d", "Conv2dSame")
"""Class names. Other convolutions, such as those that standardize their weights in each forward
pass, would undo the folding."""

_MAX_RELATIVE_CHANGE = 1e-3
"""Of the largest output; measured are 1e-6 to 1e-5, the rounding of float32."""


def fold_batch_norm(model: nn.Module, images_BCHW: Tensor) -> nn.Module:
    """Return a copy of a model in eval mode with batch normalization folded, if it proves equal.

    New weights are computed in float64 and rounded once. Gradients are switched off in the copy.

    Args:
        model: Called with pictures alone; gives one tensor.
        images_BCHW: float32 pictures that find the pairs and prove the result.

    Returns:
        The folded copy, or a plain copy where nothing can be folded.
    """
    plain = copy.deepcopy(model).eval().requires_grad_(requires_grad=False)
    if not any(isinstance(module, nn.BatchNorm2d) for module in plain.modules()):
        return plain
    with torch.no_grad():
        pairs, expected = find_pairs(
            plain, images_BCHW, lambda module: isinstance(module, nn.BatchNorm2d)
        )
        if not pairs:
            return plain
        folded = copy.deepcopy(plain)
        for convolution, norm in pairs:
            _fold(folded, convolution, norm)
        change = relative_change(expected, folded(images_BCHW))
    if not change <= _MAX_RELATIVE_CHANGE:
        log.warning("batch normalization is not folded: outputs would change by %.1e", change)
        return plain
    return folded


def find_pairs(
    model: nn.Module, images_BCHW: Tensor, is_second: Callable[[nn.Module], bool]
) -> tuple[list[tuple[str, str]], Tensor]:
    """Run a model; find the modules that get the very tensor that a convolution gave.

    Args:
        model: Called with pictures alone; gives one tensor.
        images_BCHW: float32.
        is_second: Which modules are looked at.

    Returns:
        Names of (convolution, module), each of them called once; and what the model gave.
    """
    outputs: list[tuple[Tensor, str]] = []
    pairs: list[tuple[str, str]] = []
    calls: Counter[str] = Counter()

    def after(name: str, output: Tensor) -> None:
        calls[name] += 1
        outputs.append((output, name))  # kept alive: `is` below must not meet a reused address

    def before(name: str, given: Tensor) -> None:
        calls[name] += 1
        pairs.extend((conv, name) for output, conv in outputs if output is given)

    with _hooks(model, is_second, after=after, before=before):
        expected = model(images_BCHW)
    return [pair for pair in pairs if all(calls[name] == 1 for name in pair)], expected


def relative_change(expected: Tensor, got: Tensor) -> float:
    """Return the largest difference over the largest of what is expected."""
    scale = expected.abs().max().clamp_min(torch.finfo(expected.dtype).tiny)
    return float((got - expected).abs().max() / scale)


@contextmanager
def _hooks(
    model: nn.Module,
    is_second: Callable[[nn.Module], bool],
    *,
    after: Callable[[str, Tensor], None],
    before: Callable[[str, Tensor], None],
) -> Iterator[None]:
    """Report what each convolution gives, and what each module that is looked at gets."""

    def watch_output(name: str) -> Callable[..., None]:
        return lambda _module, _inputs, output: after(name, output)

    def watch_input(name: str) -> Callable[..., None]:
        return lambda _module, inputs: before(name, inputs[0])

    handles = []
    for name, module in model.named_modules():
        if type(module).__name__ in CONVOLUTIONS:
            handles.append(module.register_forward_hook(watch_output(name)))
        elif is_second(module):
            handles.append(module.register_forward_pre_hook(watch_input(name)))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _fold(model: nn.Module, convolution: str, norm: str) -> None:
    conv = cast(nn.Conv2d, model.get_submodule(convolution))
    bn: Any = model.get_submodule(norm)
    gain, shift = _affine(bn)
    weight = torch.empty_like(conv.weight).copy_(conv.weight.double() * gain.view(-1, 1, 1, 1))
    bias = shift if conv.bias is None else conv.bias.double() * gain + shift
    conv.weight = nn.Parameter(weight, requires_grad=False)
    conv.bias = nn.Parameter(bias.to(weight.dtype), requires_grad=False)
    # timm's BatchNormAct2d carries its activation; its dropout is idle in eval mode
    model.set_submodule(norm, getattr(bn, "act", nn.Identity()))


def _affine(bn: Any) -> tuple[Tensor, Tensor]:
    """Return a batch normalization in eval mode as x * gain + shift, float64 [C]."""
    gain = (bn.running_var.double() + bn.eps).rsqrt()
    if bn.affine:
        gain = gain * bn.weight.double()
    shift = -bn.running_mean.double() * gain
    return gain, shift + bn.bias.double() if bn.affine else shift
