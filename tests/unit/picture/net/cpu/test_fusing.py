"""Fused convolutions give what the plain ones give."""

import copy
import logging

import pytest
import timm
import torch
from timm.layers.conv2d_same import Conv2dSame
from torch import nn

from pipeline.picture.net.cpu import fusing
from pipeline.picture.net.cpu.folding import fold_batch_norm
from pipeline.picture.net.cpu.fusing import FusedConvolution, fuse


def images(channels=3, size=9, count=2):
    generator = torch.Generator().manual_seed(1)
    return torch.randn(count, channels, size, size, generator=generator)


def seeded(build):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(2)
        return build().eval().requires_grad_(requires_grad=False)


def count(model):
    return sum(isinstance(each, FusedConvolution) for each in model.modules())


ACTIVATIONS = [nn.Identity, nn.ReLU, nn.ReLU6, nn.SiLU, nn.Hardswish]
CONVOLUTIONS = {
    "plain": lambda: nn.Conv2d(3, 8, 3, padding=1),
    "without bias": lambda: nn.Conv2d(3, 8, 1, bias=False),
    "one side longer": lambda: nn.Conv2d(3, 8, (3, 5), stride=(1, 2), padding=(0, 2)),
    "same, one zero": lambda: Conv2dSame(3, 8, 3, stride=2),
    "same, three zeros": lambda: Conv2dSame(3, 8, 5, stride=2),
    "depthwise, same": lambda: Conv2dSame(3, 3, 3, stride=2, groups=3),
    "depthwise": lambda: nn.Conv2d(3, 3, 5, padding=2, groups=3),
}


@pytest.mark.parametrize("size", [8, 9])
@pytest.mark.parametrize("activation", ACTIVATIONS, ids=lambda each: each.__name__)
@pytest.mark.parametrize("convolution", CONVOLUTIONS)
@torch.no_grad()
def test_a_fused_convolution_gives_the_same(convolution, activation, size):
    model = seeded(lambda: nn.Sequential(CONVOLUTIONS[convolution](), activation()))
    fused = fuse(model, images())
    assert count(fused) == 1
    assert count(model) == 0
    for each in (images(size=size), images(size=size, count=1)):  # packed anew for each shape
        assert torch.allclose(fused(each), model(each), atol=1e-5)


@pytest.mark.parametrize("activation", [nn.ReLU, nn.ReLU6], ids=lambda each: each.__name__)
@torch.no_grad()
def test_under_autocast_it_computes_in_bfloat16(activation):
    model = seeded(lambda: nn.Sequential(Conv2dSame(3, 8, 3, stride=2), activation()))
    fused = fuse(model, images())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        got, expected = fused(images()), model(images())
    assert got.dtype == torch.bfloat16
    assert torch.allclose(got.float(), expected.float(), atol=0.02)
    assert fused(images()).dtype == torch.float32


def test_while_gradients_are_recorded_it_is_the_plain_one():
    model = seeded(lambda: nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()))
    fused = fuse(model, images()).requires_grad_()
    fused(images()).sum().backward()
    expected = copy.deepcopy(model).requires_grad_()
    expected(images()).sum().backward()
    assert torch.equal(next(fused.parameters()).grad, next(expected.parameters()).grad)


@torch.no_grad()
def test_it_can_be_copied_after_it_ran():
    model = seeded(lambda: nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()))
    fused = fuse(model, images())
    expected = fused(images())
    assert torch.equal(copy.deepcopy(fused)(images()), expected)


class Shared(nn.Module):
    """What is before the activation is used too."""

    def __init__(self):
        super().__init__()
        self.conv, self.act = nn.Conv2d(3, 4, 3), nn.ReLU()

    def forward(self, values):
        inner = self.conv(values)
        return inner + self.act(inner)


@torch.no_grad()
def test_where_it_would_not_be_the_same_the_model_stays_as_it_is(caplog):
    model = seeded(Shared)
    with caplog.at_level(logging.WARNING):
        fused = fuse(model, images())
    assert fused is model
    assert "convolutions are not fused: outputs would change by" in caplog.text


@pytest.mark.parametrize(
    "conv",
    [
        nn.Conv2d(3, 4, 3, padding=1, padding_mode="circular"),
        nn.Conv2d(3, 4, 3, padding="same"),
        nn.Conv2d(3, 4, 3, dilation=2),
        nn.Conv2d(3, 4, 3).double(),
    ],
    ids=["circular", "named", "dilated", "double"],
)
def test_what_it_cannot_do_is_left_alone(conv):
    assert fusing._can_fuse(conv) is False
    assert fusing._can_fuse(nn.Conv2d(3, 4, 3)) is True


@torch.no_grad()
def test_the_default_backbone_is_fused_whole_with_its_activations():
    net = seeded(lambda: timm.create_model("tf_efficientnet_lite0", num_classes=0))
    pictures = images(size=64)
    folded = fold_batch_norm(net, pictures)
    fused = fuse(folded, pictures)
    convolutions = [each for each in fused.modules() if isinstance(each, FusedConvolution)]
    assert len(convolutions) == 49
    clipped = sum(isinstance(each.activation, nn.ReLU6) for each in convolutions)
    assert clipped == 33  # all but the last one of each of 16 blocks
    assert torch.allclose(fused(pictures), net(pictures), atol=1e-4)
