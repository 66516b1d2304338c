"""A step in parts: the tree is the same whoever adds, and the gradient is the whole step's."""

import copy

import pytest
import torch
from torch import nn

from pipeline.train.parts import Statistics, fold, own_parts, spans_of, step_in_parts
from pipeline.train.ranks import ALONE
from pipeline.train.recipe.losses import Loss
from pipeline.train.recipe.optim import build_optimizer
from pipeline.train.step import Batch, Learner, mean_step
from tests.support.trainable import plan

PARTS = 4


def joined(left, right):
    return f"({left}{right})"


def leaf(span):
    return str(span[0]) if span[1] - span[0] == 1 else None


def test_the_tree_halves():
    assert fold((0, 4), leaf, joined) == "((01)(23))"
    assert fold((0, 6), leaf, joined) == "((0(12))(3(45)))"


@pytest.mark.parametrize("parts", range(1, 13))
def test_the_tree_is_the_same_whoever_adds(parts):
    """Each rank adds up its own nodes, and the rest is finished from these."""
    whole = fold((0, parts), leaf, joined)
    for ranks in (each for each in range(1, parts + 1) if parts % each == 0):
        known = {}
        for rank in range(ranks):
            for span in spans_of((0, parts), own_parts(parts, rank, ranks)):
                known[span] = fold(span, leaf, joined)
        assert fold((0, parts), known.get, joined) == whole
        assert sum(stop - start for start, stop in known) == parts


def make(optim):
    torch.manual_seed(1)
    model = nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 3))
    recipe = plan(train={"parts": PARTS, "batch_size": 10}, optim=optim).recipe
    optimizer = build_optimizer([list(model.parameters())], recipe.optim)
    weights_K = torch.tensor([1.0, 2.0, 0.5])
    loss = Loss("cross_entropy", 0.1, weights_K)
    return Learner(model, optimizer, loss, lambda o, t: {}), recipe


@pytest.mark.parametrize("clip_norm", [0.0, 0.01])
def test_a_step_in_parts_goes_where_the_whole_step_goes(clip_norm):
    optim = {"name": "sgd", "momentum": 0.0, "nesterov": False, "lr": 0.5, "clip_norm": clip_norm}
    generator = torch.Generator().manual_seed(2)
    inputs = torch.randn(10, 5, generator=generator)
    targets = torch.randint(0, 3, (10,), generator=generator)
    weights = torch.rand(10, generator=generator)
    (whole, recipe), (parted, _) = make(optim), make(optim)
    before = copy.deepcopy(whole.model.state_dict())

    def read(part):
        return Batch(*(each[part::PARTS] for each in (inputs, targets, weights)), None)

    expected = mean_step(whole, Batch(inputs, targets, weights, None), recipe)
    assert torch.allclose(step_in_parts(parted, read, recipe), expected)
    for name, value in parted.model.state_dict().items():
        assert torch.allclose(value, whole.model.state_dict()[name], atol=1e-7)
        assert not torch.allclose(value, before[name], atol=1e-5)


def test_statistics_of_batches_move_as_if_the_parts_came_one_after_the_other():
    inputs = torch.randn(12, 4, generator=torch.Generator().manual_seed(3)) + 2
    plain = nn.Sequential(nn.BatchNorm1d(4, momentum=0.3), nn.BatchNorm1d(4))
    parted = copy.deepcopy(plain)
    for part in range(PARTS):
        plain(inputs[part::PARTS])
    statistics = Statistics(parted)
    for part in range(PARTS):
        with statistics.of_part():
            parted(inputs[part::PARTS])
    statistics.apply(ALONE)
    for name, value in plain.state_dict().items():
        assert torch.allclose(parted.state_dict()[name], value, atol=1e-6), name
    assert [each.momentum for each in parted] == [0.3, 0.1]
    assert not torch.allclose(plain[0].running_mean, torch.zeros(4), atol=0.5)
