"""The head scales, drops and projects; a row's outputs do not depend on where the row stands."""

import pytest
import torch

from pipeline.model.head import Head


def features(rows, dim, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(rows, dim, generator=generator) * 3 + 5


def trained_head(dim, outputs, dropout=0.0):
    head = Head(dim, outputs, dropout=dropout)
    generator = torch.Generator().manual_seed(9)
    with torch.no_grad():
        head.weight.normal_(generator=generator)
        head.bias.normal_(generator=generator)
    return head


def test_a_new_head_gives_zero_for_everything_without_random_numbers():
    head = Head(8, 3, dropout=0.5).eval()
    assert torch.equal(head(features(4, 8)), torch.zeros(4, 3))
    assert [name for name, _ in head.named_parameters()] == ["weight", "bias"]


def test_scaling_is_fitted_to_mean_0_and_squares_that_sum_to_1():
    head, rows = Head(6, 2, dropout=0.0), features(20000, 6)
    head.fit_scaling(rows)
    assert torch.allclose(head.mean, rows.mean(0), atol=1e-5)
    scaled = (rows - head.mean) / head.std
    assert torch.allclose(scaled.mean(0), torch.zeros(6), atol=1e-4)
    deviation = torch.full((6,), 6**-0.5)
    assert torch.allclose(scaled.std(0, unbiased=False), deviation, atol=1e-4)
    assert float(scaled.square().sum(1).mean()) == pytest.approx(1.0, abs=1e-3)


def test_a_feature_that_is_constant_over_train_becomes_zero():
    head, rows = Head(3, 1, dropout=0.0), features(50, 3)
    rows[:, 1] = 0.1
    rows[:, 2] = 0.0
    head.fit_scaling(rows)
    with torch.no_grad():
        head.weight.fill_(1.0)
    expected = (rows[:, 0] - rows[:, 0].mean()) / rows[:, 0].std(unbiased=False) / 3**0.5
    assert torch.allclose(head.eval()(rows)[:, 0], expected, atol=1e-4)


def test_scaling_is_part_of_the_state():
    head = trained_head(4, 2)
    head.fit_scaling(features(10, 4))
    other = Head(4, 2, dropout=0.0)
    other.load_state_dict(head.state_dict())
    assert torch.equal(other.eval()(features(3, 4)), head.eval()(features(3, 4)))


@torch.no_grad()
def test_dropout_follows_its_generator_keeps_the_mean_and_is_off_in_eval_mode():
    head, rows = trained_head(1000, 1, dropout=0.25), torch.ones(200, 1000)
    with torch.no_grad():
        head.weight.fill_(1.0)
        head.bias.zero_()
    first, again, other = (head(rows, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    # 1000 features, each 4/3 with probability 3/4: deviation of a sum is 18.3, of 200 sums 1.3
    assert float(first.mean()) == pytest.approx(1000, abs=6)
    assert torch.equal(head.eval()(rows), torch.full((200, 1), 1000.0))


@pytest.mark.parametrize("dim", [63, 2560, 2561])
@pytest.mark.parametrize("outputs", [1, 2, 5])
@pytest.mark.parametrize("batch", [5, 32, 33])
@torch.no_grad()
def test_by_row_gives_equal_bits_wherever_a_row_stands(batch, outputs, dim):
    head = trained_head(dim, outputs).eval()
    rows = features(batch, dim)
    alone = head.by_row(rows[:1])
    for at in range(batch):
        others = features(batch, dim, seed=at)
        others[at] = rows[0]
        assert torch.equal(head.by_row(others)[at], alone[0]), at
    assert torch.allclose(head.by_row(rows), head(rows), rtol=1e-4, atol=1e-3)


def test_by_row_and_forward_have_the_same_gradients():
    rows = features(7, 12)
    gradients = []
    for call in ("forward", "by_row"):
        head = trained_head(12, 3).eval()
        getattr(head, call)(rows).square().sum().backward()
        gradients.append(head.weight.grad)
    assert torch.allclose(gradients[0], gradients[1], rtol=1e-4)


def test_outputs_are_float32_whatever_the_precision_around():
    head, rows = trained_head(16, 2).eval(), features(4, 16)
    expected = head(rows)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(head(rows), expected)
        assert torch.equal(head.by_row(rows).float(), head.by_row(rows))
