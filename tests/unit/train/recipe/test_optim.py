"""Each optimizer takes the step that its definition says, and decay stays off biases and norms."""

import pytest
import torch
from torch import nn

from pipeline.ground.errors import ParamsError
from pipeline.ground.params import load_section
from pipeline.train.recipe.optim import build_optimizer, clip_gradients, parameter_groups, set_lr
from pipeline.train.recipe.params import OptimParams

VALUES = {
    "name": "sgd",
    "lr": 0.1,
    "momentum": 0.0,
    "nesterov": False,
    "beta1": 0.9,
    "beta2": 0.999,
    "weight_decay": 0.0,
    "clip_norm": 0.0,
    "layer_decay": 1.0,
}


def params(**changes) -> OptimParams:
    return OptimParams.model_validate(VALUES | changes)


def walk(gradients, **changes) -> list[float]:
    """Give the positions of one 1x1 weight that starts at 1, after a step along each gradient."""
    layer = nn.Linear(1, 1, bias=False)
    nn.init.constant_(layer.weight, 1.0)
    optimizer = build_optimizer([list(layer.parameters())], params(**changes))
    positions = []
    for gradient in gradients:
        layer.weight.grad = torch.full((1, 1), gradient)
        optimizer.step()
        positions.append(layer.weight.item())
    return positions


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, [0.9, 0.7]),
        ({"momentum": 0.5}, [0.9, 0.9 - 0.1 * 2.5]),
        (
            {"momentum": 0.5, "nesterov": True},
            [1 - 0.1 * 1.5, 1 - 0.1 * 1.5 - 0.1 * (2 + 0.5 * 2.5)],
        ),
        ({"weight_decay": 0.5}, [1 - 0.1 * 1.5, 0.85 - 0.1 * (2 + 0.5 * 0.85)]),
        ({"name": "adam"}, [0.9, 0.9 - 0.1 * (0.29 / 0.19) / (0.004999 / 0.001999) ** 0.5]),
        ({"name": "adamw", "weight_decay": 0.5}, [1 - 0.1 * 0.5 - 0.1]),
    ],
    ids=["sgd", "momentum", "nesterov", "sgd-decay", "adam", "adamw-decay"],
)
def test_steps_are_those_of_the_definition(changes, expected):
    assert walk([1.0, 2.0], **changes)[: len(expected)] == pytest.approx(expected, rel=1e-5)


def test_adam_adds_decay_to_the_gradient_and_adamw_does_not():
    # Adam's first step is lr whatever the gradient's size, so decay in the gradient changes nothing
    assert walk([1.0], name="adam", weight_decay=0.5) == pytest.approx([0.9])
    assert walk([1.0], name="adamw", weight_decay=0.5) == pytest.approx([0.85])


def test_biases_and_norms_do_not_decay():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, 2))
    decaying, free = parameter_groups([list(model.parameters())], params(weight_decay=0.3))
    assert decaying["weight_decay"] == 0.3
    assert free["weight_decay"] == 0.0
    assert {id(each) for each in decaying["params"]} == {id(model[0].weight), id(model[3].weight)}
    assert len(free["params"]) == 4


def test_empty_groups_are_left_out():
    layer = nn.Linear(2, 2, bias=False)
    groups = parameter_groups([[], list(layer.parameters())], params(weight_decay=0.1))
    assert [group["params"] for group in groups] == [[layer.weight]]


def test_the_rate_decays_from_the_head_downwards():
    low, middle, head = (nn.Linear(2, 2, bias=False) for _ in range(3))
    plan = params(layer_decay=0.5)
    optimizer = build_optimizer([list(each.parameters()) for each in (low, middle, head)], plan)
    set_lr(optimizer, 0.8)
    rates = {id(group["params"][0]): group["lr"] for group in optimizer.param_groups}
    wanted = {low: 0.2, middle: 0.4, head: 0.8}
    assert rates == pytest.approx({id(each.weight): rate for each, rate in wanted.items()})


def test_the_rate_is_set_for_every_group():
    optimizer = build_optimizer([list(nn.Linear(2, 2).parameters())], params())
    set_lr(optimizer, 0.25)
    assert [group["lr"] for group in optimizer.param_groups] == [0.25, 0.25]


@pytest.mark.parametrize(
    ("limit", "expected"),
    [(0.0, 5.0), (1.0, 1.0), (10.0, 5.0)],
    ids=["off", "shortened", "short-enough"],
)
def test_a_gradient_longer_than_the_limit_is_shortened(limit, expected):
    weights = [torch.zeros(1, requires_grad=True), torch.zeros(1, requires_grad=True)]
    weights[0].grad, weights[1].grad = torch.tensor([3.0]), torch.tensor([4.0])
    clip_gradients(weights, limit)
    assert float(torch.cat([each.grad for each in weights]).norm()) == pytest.approx(
        expected, rel=1e-5
    )


def test_nesterov_needs_momentum(tmp_path):
    path = tmp_path / "params.yaml"
    with pytest.raises(ParamsError) as caught:
        load_section({"optim": VALUES | {"nesterov": True}}, "optim", OptimParams, path=path)
    assert str(caught.value) == (
        f"{path}: optim: nesterov: true needs a momentum above 0, got 0.0 "
        "(set `optim.nesterov: false`)"
    )
    assert caught.value.exit_code == 2


def test_nesterov_is_no_matter_for_adam():
    assert params(name="adam", nesterov=True).nesterov


@pytest.mark.parametrize(
    "changes",
    [
        {"lr": 0.0},
        {"lr": -0.1},
        {"lr": 11.0},
        {"momentum": 1.0},
        {"beta2": 1.0},
        {"weight_decay": -0.1},
        {"clip_norm": -1.0},
        {"name": "rmsprop"},
    ],
    ids=str,
)
def test_values_out_of_range_are_refused(changes, tmp_path):
    with pytest.raises(ParamsError, match=f"optim.{next(iter(changes))}: must be"):
        load_section({"optim": VALUES | changes}, "optim", OptimParams, path=tmp_path / "p.yaml")
