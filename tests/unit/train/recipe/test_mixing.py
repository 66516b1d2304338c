"""Mixed batches are made of what they say, and the average follows its definition."""

import numpy as np
import pytest
import torch
from torch import nn

from pipeline.train.recipe.ema import Average
from pipeline.train.recipe.mixing import mix_batch


def mixed(inputs, seed=1, **alphas):
    generator = np.random.default_rng(seed)
    return mix_batch(inputs, **{"mixup": 0.0, "cutmix": 0.0, **alphas}, generator=generator)


def test_off_leaves_the_very_batch():
    inputs = torch.rand(3, 4)
    assert mixed(inputs) == (inputs, None)


@pytest.mark.parametrize("shape", [(6, 5), (6, 3, 4, 4), (6, 7, 5)], ids=str)
def test_mixup_is_the_weighted_sum_of_two_items(shape):
    inputs = torch.rand(shape)
    out, mix = mixed(inputs, mixup=0.4)
    for at, (partner, share) in enumerate(zip(mix.partners_B, mix.shares_B, strict=True)):
        assert torch.allclose(out[at], share * inputs[at] + (1 - share) * inputs[partner])
    assert sorted(mix.partners_B.tolist()) == list(range(6))


def test_cutmix_pastes_a_rectangle_and_tells_its_area():
    inputs = torch.arange(8, dtype=torch.uint8).view(8, 1, 1, 1).expand(8, 3, 20, 30).clone()
    before = inputs.clone()
    out, mix = mixed(inputs, cutmix=1.0)
    assert torch.equal(inputs, before)
    assert out.dtype == torch.uint8
    for at, (partner, share) in enumerate(zip(mix.partners_B, mix.shares_B, strict=True)):
        own = (out[at, 0] == at).float().mean()
        other = (out[at, 0] == partner).float().mean()
        if at != partner:
            assert own == pytest.approx(float(share), abs=1e-6)
            assert own + other == pytest.approx(1.0)
            rows, columns = torch.nonzero(out[at, 0] == partner, as_tuple=True)
            if len(rows):
                box = (rows.max() - rows.min() + 1) * (columns.max() - columns.min() + 1)
                assert box == len(rows)
    assert 0.2 < float(mix.shares_B.mean()) < 0.9


def test_with_both_on_each_is_drawn_at_times():
    inputs = torch.rand(4, 3, 8, 8)
    kinds = set()
    for seed in range(20):
        out, _ = mixed(inputs, seed=seed, mixup=1.0, cutmix=1.0)
        kinds.add(bool(torch.isin(out, inputs).all()))
    assert kinds == {True, False}


def test_equal_generators_mix_alike():
    inputs = torch.rand(5, 2)
    assert torch.equal(mixed(inputs, mixup=0.3)[0], mixed(inputs, mixup=0.3)[0])
    assert not torch.equal(mixed(inputs, mixup=0.3)[0], mixed(inputs, seed=2, mixup=0.3)[0])


def test_the_average_is_that_of_its_definition_and_counts_are_copied():
    model = nn.BatchNorm1d(1)
    with torch.no_grad():
        model.weight.fill_(0.0)
    average = Average(model, 0.5)
    expected = 0.0
    for step, value in enumerate([1.0, 4.0, 2.0, 8.0, 3.0, 5.0, 9.0, 1.0, 2.0, 7.0, 6.0, 2.0]):
        with torch.no_grad():
            model.weight.fill_(value)
            model.num_batches_tracked.fill_(step)
        average.update(model, step)
        decay = min(0.5, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * value
        assert float(average.model.weight) == pytest.approx(expected, rel=1e-6)
        assert int(average.model.num_batches_tracked) == step
    assert not any(each.requires_grad for each in average.model.parameters())
