"""Gradients of depthwise convolutions the fast way are the exact ones, within bfloat16."""

import copy

import pytest
import torch
from timm.layers.conv2d_same import Conv2dSame
from torch import nn

from pipeline.picture.net.cpu.depthwise import speed_up_gradients

CONVOLUTIONS = {
    "3 x 3": lambda: nn.Conv2d(16, 16, 3, padding=1, groups=16),
    "5 x 5": lambda: nn.Conv2d(16, 16, 5, padding=2, groups=16, bias=False),
    "7 x 7, which takes three pieces": lambda: nn.Conv2d(16, 16, 7, padding=3, groups=16),
    "4 x 2": lambda: nn.Conv2d(16, 16, (4, 2), padding=(2, 1), groups=16),
    "stride": lambda: nn.Conv2d(16, 16, 5, stride=2, padding=2, groups=16),
    "same": lambda: Conv2dSame(16, 16, 5, stride=2, groups=16),
    "no padding": lambda: nn.Conv2d(16, 16, 3, groups=16),
}

BOUND = 2 * 2**-8
"""Of the largest value: two units of its last place; torch's own are off by four at times."""


def gradients(conv, values):
    values = values.clone().requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=values.dtype == torch.float32):
        result = conv(values)
    generator = torch.Generator().manual_seed(3)
    result.backward(torch.randn(result.shape, generator=generator).bfloat16().to(result.dtype))
    return result.float(), values.grad, [each.grad for each in conv.parameters()]


def exact_gradients(conv):
    """Return them of the rounded kernel and values, in double precision."""
    rounded = copy.deepcopy(conv).bfloat16().double()
    _, of_values, of_parameters = gradients(rounded, values().bfloat16().double())
    return [of_values, *of_parameters]


def values(channels=16):
    generator = torch.Generator().manual_seed(1)
    made = torch.randn(8, channels, 12, 13, generator=generator)
    return made.contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_they_are_exact_and_the_result_is_torch_s(name):
    plain = CONVOLUTIONS[name]()
    fast = copy.deepcopy(plain)
    speed_up_gradients(fast)
    got, got_values, got_parameters = gradients(fast, values())
    assert torch.equal(got, gradients(plain, values())[0])
    for found, wanted in zip([got_values, *got_parameters], exact_gradients(plain), strict=True):
        assert found.shape == wanted.shape
        assert float((found - wanted).abs().max() / wanted.abs().max()) < BOUND


def test_a_frozen_kernel_gets_no_gradient():
    conv = CONVOLUTIONS["5 x 5"]().requires_grad_(requires_grad=False)
    speed_up_gradients(conv)
    _, of_values, (of_weight,) = gradients(conv, values())
    assert of_weight is None
    assert of_values.abs().max() > 0


@pytest.mark.parametrize(
    "conv",
    [
        nn.Conv2d(16, 32, 3, groups=16),
        nn.Conv2d(16, 16, 3, groups=16, dilation=2),
        nn.Conv2d(16, 16, 3, groups=16, padding=1, padding_mode="reflect"),
        nn.Conv2d(16, 16, 3, groups=16, padding="same"),
    ],
    ids=["two outputs a channel", "dilated", "reflecting", "named"],
)
def test_other_convolutions_stay_torch_s_to_the_bit(conv):
    fast = copy.deepcopy(conv)
    speed_up_gradients(fast)
    for found, wanted in zip(
        gradients(fast, values())[2], gradients(conv, values())[2], strict=True
    ):
        assert torch.equal(found, wanted)


def test_in_single_precision_they_stay_torch_s_to_the_bit():
    plain = CONVOLUTIONS["5 x 5"]()
    fast = copy.deepcopy(plain)
    speed_up_gradients(fast)
    for conv in (plain, fast):
        conv(values()).sum().backward()
    assert torch.equal(fast.weight.grad, plain.weight.grad)
