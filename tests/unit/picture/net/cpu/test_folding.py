"""Batch normalization is folded where that is the same, and nowhere else."""

import logging

import pytest
import torch
from torch import nn

from pipeline.picture.net.cpu.folding import fold_batch_norm


def shaken(norm):
    generator = torch.Generator().manual_seed(0)
    norm.running_mean.normal_(generator=generator)
    norm.running_var.uniform_(0.5, 2.0, generator=generator)
    if norm.affine:
        norm.weight.data.uniform_(0.5, 2.0, generator=generator)
        norm.bias.data.normal_(generator=generator)
    return norm


def images():
    return torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(1))


def count_norms(model):
    return sum(isinstance(each, nn.BatchNorm2d) for each in model.modules())


class Skip(nn.Module):
    """Its convolution's output is used beside the normalization too."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 4, 3), shaken(nn.BatchNorm2d(4))

    def forward(self, values):
        inner = self.conv(values)
        return inner + self.norm(inner)


class Twice(nn.Module):
    """One convolution, two normalizations."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 1)
        self.first, self.second = shaken(nn.BatchNorm2d(3)), nn.BatchNorm2d(3)

    def forward(self, values):
        return self.second(self.conv(self.first(self.conv(values))))


class Standardized(nn.Conv2d):
    """A convolution that undoes every gain put into its weights."""

    def forward(self, values):
        return nn.functional.conv2d(values, self.weight / self.weight.norm(), self.bias)


@pytest.mark.parametrize("bias", [True, False], ids=["bias", "no bias"])
@pytest.mark.parametrize("affine", [True, False], ids=["affine", "plain"])
@torch.no_grad()
def test_a_folded_pair_gives_the_same(bias, affine):
    model = nn.Sequential(
        nn.Conv2d(3, 5, 3, bias=bias), shaken(nn.BatchNorm2d(5, affine=affine)), nn.ReLU()
    ).eval()
    folded = fold_batch_norm(model, images())
    assert count_norms(folded) == 0
    assert torch.allclose(folded(images()), model(images()), atol=1e-5)
    assert count_norms(model) == 1  # the original stays trainable
    assert all(each.requires_grad for each in model.parameters())
    assert not any(each.requires_grad for each in folded.parameters())


@torch.no_grad()
def test_where_it_would_not_be_the_same_the_model_stays_as_it_is(caplog):
    model = Skip().eval()
    with caplog.at_level(logging.WARNING):
        folded = fold_batch_norm(model, images())
    assert count_norms(folded) == 1
    assert torch.equal(folded(images()), model(images()))
    assert "batch normalization is not folded: outputs would change by" in caplog.text


@pytest.mark.parametrize(
    "model",
    [Twice(), nn.Sequential(Standardized(3, 4, 3), shaken(nn.BatchNorm2d(4)))],
    ids=["a convolution that runs twice", "a convolution that standardizes its weights"],
)
@torch.no_grad()
def test_such_pairs_are_not_even_tried(model, caplog):
    folded = fold_batch_norm(model.eval(), images())
    assert count_norms(folded) == count_norms(model)
    assert torch.equal(folded(images()), model(images()))
    assert caplog.text == ""


@torch.no_grad()
def test_a_model_in_training_mode_is_folded_as_in_eval_mode():
    model = nn.Sequential(nn.Conv2d(3, 5, 3), shaken(nn.BatchNorm2d(5))).train()
    before = model[1].running_mean.clone()
    folded = fold_batch_norm(model, images())
    assert torch.equal(model[1].running_mean, before)
    assert torch.allclose(folded(images()), model.eval()(images()), atol=1e-5)
