"""What a convolution pads is what timm and torch pad."""

import pytest
import torch
from timm.layers.conv2d_same import Conv2dSame
from torch import nn
from torch.nn import functional

from pipeline.picture.net.cpu.padding import zero_padding


@pytest.mark.parametrize("size", [7, 8, 224])
@pytest.mark.parametrize(("kernel", "stride"), [(3, 1), (3, 2), (5, 2), (1, 2), (4, 3)])
def test_tensorflow_s_rule(size, kernel, stride):
    conv = Conv2dSame(1, 1, kernel, stride)
    (top, bottom), (left, right) = zero_padding(conv, (size, size + 1))
    values = torch.randn(1, 1, size, size + 1, generator=torch.Generator().manual_seed(0))
    padded = functional.pad(values, (left, right, top, bottom))
    got = functional.conv2d(padded, conv.weight, conv.bias, stride)
    assert torch.equal(got, conv(values))


def test_torch_s_numbers():
    assert zero_padding(nn.Conv2d(1, 1, 3, padding=(1, 2)), (9, 9)) == [(1, 1), (2, 2)]
