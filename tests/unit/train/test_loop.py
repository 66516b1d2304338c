"""The loop learns, reports, leaves the world as it was, and refuses to go on with a dead model."""

import dataclasses
import itertools

import numpy as np
import pytest
import torch
from torch import nn

from pipeline.ground.errors import DataError, ParamsError
from pipeline.ground.params import load_section
from pipeline.ground.seeds import numpy_generator
from pipeline.judge.metrics import monitored
from pipeline.train.loop import Examples, fit, predict
from pipeline.train.params import TrainParams
from pipeline.train.plan import Recipe
from pipeline.train.recipe.losses import Loss
from pipeline.train.recipe.optim import build_optimizer
from pipeline.train.recipe.params import OptimParams, ScheduleParams
from pipeline.train.step import Learner, Method, count_batches, make_alike, mean_step
from tests.support.trainable import OFF

TRAIN = {
    **OFF,
    "strategy": "head",
    "epochs": 5,
    "batch_size": 8,
    "dropout": 0.0,
    "batch_norm": "stored",
    "monitor": "loss",
    "patience": 0,
    "privacy": None,
}
OPTIM = {
    "name": "sgd",
    "lr": 0.5,
    "momentum": 0.0,
    "nesterov": False,
    "beta1": 0.9,
    "beta2": 0.999,
    "weight_decay": 0.0,
    "clip_norm": 0.0,
    "layer_decay": 1.0,
}


def recipe(*, seed=1, schedule="constant", optim=None, **train) -> Recipe:
    return Recipe(
        train=TrainParams.model_validate(TRAIN | train),
        optim=OptimParams.model_validate(OPTIM | (optim or {})),
        schedule=ScheduleParams(name=schedule, warmup_frac=0.0, final_frac=0.1),
        seed=seed,
    )


def examples(items, *, seed=0, features=4) -> Examples:
    """Make two classes that a line tells apart."""
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(items, features, generator=generator)
    labels = (inputs[:, 0] > 0).long()
    return Examples(labels, torch.ones(items), lambda rows, epoch: inputs[torch.from_numpy(rows)])


def score(outputs, labels) -> dict[str, float]:
    return monitored("classification", outputs.softmax(dim=1).double().numpy(), labels.numpy())


def learner(model, recipe) -> Learner:
    optimizer = build_optimizer([list(model.parameters())], recipe.optim)
    return Learner(model, optimizer, Loss("cross_entropy", 0.0, None), score)


def linear() -> nn.Linear:
    layer = nn.Linear(4, 2)
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


def with_dropout() -> nn.Sequential:
    return nn.Sequential(nn.Dropout(0.5), linear())


def train(model, plan, *, items=50, done=0) -> list:
    return list(
        fit(learner(model, plan), examples(items), examples(20, seed=1), recipe=plan, done=done)
    )


def test_it_learns_and_reports_every_epoch():
    reports = train(linear(), recipe(epochs=10))
    assert [report.epoch for report in reports] == list(range(1, 11))
    assert reports[-1].train_loss < 0.4 < reports[0].train_loss < 0.7
    assert reports[-1].val_loss < reports[0].val_loss
    assert reports[-1].metrics["accuracy"] > 0.9
    assert {report.items for report in reports} == {50}


def test_nothing_is_trained_that_is_not_asked_for():
    model, plan = linear(), recipe()
    epochs = fit(learner(model, plan), examples(50), examples(20), recipe=plan)
    assert not model.weight.any()
    next(epochs)
    after = model.weight.clone()
    epochs.close()
    assert torch.equal(model.weight, after)


def test_the_reported_loss_is_the_mean_of_the_steps_before_they_moved():
    # One step at lr 0.5 from zero weights: the loss of that step is ln 2 exactly.
    reports = train(linear(), recipe(epochs=1, batch_size="full"))
    assert reports[0].train_loss == pytest.approx(np.log(2), rel=1e-6)


def test_the_rate_follows_the_schedule_over_all_steps():
    reports = train(linear(), recipe(epochs=3, batch_size=25, schedule="cosine"))
    assert reports[-1].lr == pytest.approx(0.5 * 0.1)
    halfway = 0.1 + 0.9 * (1 + np.cos(np.pi * 3 / 5)) / 2  # step 3 of 0..5
    assert reports[1].lr == pytest.approx(0.5 * halfway)


def test_every_item_is_seen_once_an_epoch_in_another_order_each_time():
    seen: list[tuple[int, np.ndarray]] = []
    data = examples(50)

    def read(rows, epoch):
        seen.append((epoch, rows))
        return data.read(rows, epoch)

    plan = recipe(epochs=2, batch_size=8)
    watched = dataclasses.replace(data, read=read)
    list(fit(learner(linear(), plan), watched, examples(20), recipe=plan))
    first, second = (np.concatenate([rows for e, rows in seen if e == epoch]) for epoch in (1, 2))
    assert sorted(first) == sorted(second) == list(range(50))
    assert list(first) != list(second)
    assert {len(rows) for _, rows in seen} == {7, 8}


@pytest.mark.parametrize(
    ("items", "size", "steps"), [(50, 8, 7), (48, 8, 6), (5, 64, 1), (5, "full", 1), (1, 1, 1)]
)
def test_steps_in_an_epoch(items, size, steps):
    assert count_batches(items, size) == steps


def test_dropout_is_the_same_whatever_the_caller_does_with_the_global_generator():
    plan = recipe(epochs=3)
    quiet = with_dropout()
    train(quiet, plan)
    disturbed = with_dropout()
    for report in fit(learner(disturbed, plan), examples(50), examples(20, seed=1), recipe=plan):
        torch.manual_seed(report.epoch * 17)
        torch.rand(5)
    assert torch.equal(quiet[1].weight, disturbed[1].weight)


def test_the_caller_s_random_state_is_left_alone():
    model = with_dropout()
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    train(model, recipe(epochs=2))
    assert torch.equal(torch.rand(2), expected)


def test_epochs_and_seeds_draw_other_dropouts():
    model, other = with_dropout(), with_dropout()
    train(model, recipe(epochs=1, seed=1))
    train(other, recipe(epochs=1, seed=2))
    assert not torch.equal(model[1].weight, other[1].weight)


def test_weights_of_items_count_in_training_and_validation():
    plan = recipe(epochs=20, batch_size="full")
    data = examples(50)
    flipped = Examples(1 - data.targets_N, torch.full((50,), 1e-6), data.read)
    model = linear()

    def read(rows, epoch):
        return data.read(rows % 50, epoch)

    both = Examples(
        torch.cat([data.targets_N, flipped.targets_N]),
        torch.cat([data.weights_N, flipped.weights_N]),
        read,
    )
    reports = list(fit(learner(model, plan), both, both, recipe=plan))
    assert reports[-1].val_loss < 0.4
    assert reports[-1].metrics["accuracy"] == 0.5


@pytest.mark.parametrize(("mode", "moves"), [("stored", False), ("batch", True)])
def test_batch_norm_statistics_move_only_if_asked(mode, moves):
    norm = nn.BatchNorm1d(4)
    model = nn.Sequential(norm, linear())
    train(model, recipe(batch_norm=mode, epochs=2))
    assert bool(norm.running_mean.any()) is moves
    assert norm.weight.grad is not None


def test_outputs_come_in_order_from_a_model_that_is_not_in_training():
    model = with_dropout()
    nn.init.ones_(model[1].weight)
    data = examples(150)
    expected = model.eval()(data.read(np.arange(150), 0))
    model.train()
    assert torch.allclose(predict(learner(model, recipe()), data), expected)


def test_the_first_loss_that_is_not_finite_ends_training_and_is_named():
    data = examples(40)

    def read(rows, epoch):
        inputs = data.read(rows, epoch)
        return inputs * float("nan") if epoch == 2 and 7 in rows else inputs

    plan = recipe(epochs=3, batch_size=10)
    epochs = fit(
        learner(linear(), plan), dataclasses.replace(data, read=read), examples(20), recipe=plan
    )
    assert next(epochs).epoch == 1
    with pytest.raises(DataError) as caught:
        next(epochs)
    step = int(np.flatnonzero([7 in part for part in _parts(40, 4, epoch=2)])[0]) + 1
    assert str(caught.value) == (
        f"train: the loss is nan in epoch 2, step {step} of 4 (lower optim.lr, or set "
        "optim.clip_norm; no model was written)"
    )
    assert caught.value.exit_code == 3


def _parts(items, steps, *, epoch):
    return np.array_split(numpy_generator(1, "order", epoch).permutation(items), steps)


def test_a_long_epoch_does_not_run_to_its_end_after_the_loss_is_gone():
    data, read_rows = examples(1000), []

    def read(rows, epoch):
        read_rows.append(rows)
        return data.read(rows, epoch) * float("inf")

    plan = recipe(epochs=1, batch_size=1)
    with pytest.raises(DataError, match="in epoch 1, step 1 of 1000"):
        next(fit(learner(linear(), plan), dataclasses.replace(data, read=read), data, recipe=plan))
    assert len(read_rows) < 100


def test_a_model_that_dies_in_the_last_step_is_caught_on_validation():
    plan = recipe(epochs=1, batch_size="full", optim={"lr": 10.0})
    data = examples(50)
    huge = Examples(data.targets_N, data.weights_N, lambda rows, e: data.read(rows, e) * 3e38)
    with pytest.raises(DataError, match=r"the loss on validation is (nan|inf) after epoch 1"):
        next(fit(learner(linear(), plan), data, huge, recipe=plan))


@pytest.mark.parametrize(
    "changes",
    [
        {"epochs": 0},
        {"batch_size": 0},
        {"batch_size": "all"},
        {"dropout": 1.0},
        {"patience": -1},
        {"monitor": "auc"},
        {"strategy": "lora"},
        {"batch_norm": "train"},
    ],
    ids=str,
)
def test_values_out_of_range_are_refused(changes, tmp_path):
    with pytest.raises(ParamsError, match=f"train.{next(iter(changes))}"):
        load_section({"train": TRAIN | changes}, "train", TrainParams, path=tmp_path / "p.yaml")


def test_batches_and_steps_can_be_replaced():
    seen = []

    def batches(order, recipe):
        return [order[:3], order[3:5]]

    def step(learner, batch, recipe):
        seen.append(len(batch.targets_B))
        return mean_step(learner, batch, recipe)

    plan = recipe(epochs=2)
    model, method = linear(), Method(batches, step)
    data = examples(5)
    reports = list(fit(learner(model, plan), data, data, recipe=plan, method=method))
    assert seen == [3, 2, 3, 2]
    assert len(reports) == 2
    assert model.weight.any()


def test_batches_are_made_alike_within_pools_and_keep_their_lengths():
    generator = np.random.default_rng(1)
    sizes = generator.integers(1, 9, 95)
    batches = np.array_split(generator.permutation(95), 10)
    found = make_alike(batches, sizes, np.random.default_rng(2))
    assert sorted(np.concatenate(found)) == list(range(95))
    assert sorted(map(len, found)) == sorted(map(len, batches))
    for pool, before in ((found[:8], batches[:8]), (found[8:], batches[8:])):
        assert set(np.concatenate(pool)) == set(np.concatenate(before))
        ranges = sorted((sizes[each].min(), sizes[each].max()) for each in pool)
        assert all(low[1] <= high[0] for low, high in itertools.pairwise(ranges))
    again = make_alike(batches, sizes, np.random.default_rng(2))
    assert all(map(np.array_equal, found, again))


def test_outputs_come_in_the_order_of_the_items_whatever_their_sizes():
    data = examples(150)
    layer = linear()
    nn.init.normal_(layer.weight)
    own = learner(layer, recipe())
    sized = dataclasses.replace(data, sizes_N=np.random.default_rng(3).integers(1, 5, 150))
    torch.testing.assert_close(predict(own, sized), predict(own, data), rtol=0, atol=1e-6)
