"""Laws of training: plain gradient descent, weights as repetitions, and resuming at any epoch."""

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from pipeline.model.head import Head
from pipeline.train.best_epoch import Best
from pipeline.train.checkpoint import Checkpoints
from pipeline.train.loop import Examples, fit
from pipeline.train.params import TrainParams
from pipeline.train.plan import Recipe
from pipeline.train.recipe.losses import Loss, mean
from pipeline.train.recipe.optim import build_optimizer
from pipeline.train.recipe.params import OptimParams, ScheduleParams
from pipeline.train.step import Learner
from tests.support.trainable import OFF

FEATURES, CLASSES = 3, 4


def recipe(
    *, optim="sgd", lr=0.3, momentum=0.0, epochs=5, dropout=0.0, batch_size="full"
) -> Recipe:
    return Recipe(
        train=TrainParams(
            **OFF,
            strategy="head",
            epochs=epochs,
            batch_size=batch_size,
            dropout=dropout,
            batch_norm="stored",
            monitor="loss",
            patience=0,
            privacy=None,
        ),
        optim=OptimParams(
            name=optim,
            lr=lr,
            momentum=momentum,
            nesterov=False,
            beta1=0.9,
            beta2=0.99,
            weight_decay=0.0,
            clip_norm=0.0,
            layer_decay=1.0,
        ),
        schedule=ScheduleParams(name="cosine", warmup_frac=0.2, final_frac=0.1),
        seed=3,
    )


def data(seed, items=20) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    inputs = generator.normal(size=(items, FEATURES))
    return inputs, generator.integers(0, CLASSES, items), generator.integers(0, 4, items)


def examples(inputs, labels, weights) -> Examples:
    table = torch.from_numpy(inputs)
    return Examples(
        torch.from_numpy(labels),
        torch.from_numpy(weights).double(),
        lambda rows, epoch: table[torch.from_numpy(rows)],
    )


def learner(model, plan) -> Learner:
    loss = Loss("cross_entropy", 0.0, None)
    return Learner(
        model, build_optimizer([list(model.parameters())], plan.optim), loss, lambda o, t: {}
    )


def train_linear(plan, train, **options) -> np.ndarray:
    model = nn.Linear(FEATURES, CLASSES).double()
    nn.init.zeros_(model.weight)
    nn.init.zeros_(model.bias)
    list(fit(learner(model, plan), train, train, recipe=plan, **options))
    return np.concatenate([model.weight.detach().numpy(), model.bias.detach().numpy()[:, None]], 1)


def by_hand(inputs, labels, weights, rates) -> np.ndarray:
    """Descend the gradient of the weighted logistic loss, written out in numpy."""
    extended = np.concatenate([inputs, np.ones((len(inputs), 1))], axis=1)
    theta = np.zeros((CLASSES, FEATURES + 1))
    for rate in rates:
        logits = extended @ theta.T
        chances = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        error = (chances - np.eye(CLASSES)[labels]) * weights[:, None]
        theta -= rate * error.T @ extended / weights.sum()
    return theta


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**20))
def test_a_full_batch_with_plain_sgd_is_gradient_descent(seed):
    inputs, labels, weights = data(seed)
    weights = weights + 1
    plan = recipe()
    rates = []
    model = nn.Linear(FEATURES, CLASSES).double()
    nn.init.zeros_(model.weight)
    nn.init.zeros_(model.bias)
    sample = examples(inputs, labels, weights)
    for report in fit(learner(model, plan), sample, sample, recipe=plan):
        rates.append(report.lr)
    found = train_linear(plan, sample)
    # The loss is computed in single precision, so gradients agree to about 1e-7.
    assert found == pytest.approx(by_hand(inputs, labels, weights, rates), abs=1e-6)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**20), smoothing=st.sampled_from([0.0, 0.2]))
def test_a_weight_is_a_number_of_repetitions(seed, smoothing):
    inputs, labels, counts = data(seed)
    counts[0] = max(counts[0], 1)
    loss = Loss("cross_entropy", smoothing, None)
    logits = torch.from_numpy(inputs @ np.ones((FEATURES, CLASSES)))
    weighted = loss.sums(logits, torch.from_numpy(labels), torch.from_numpy(counts).float())
    repeated = loss.sums(
        logits.repeat_interleave(torch.from_numpy(counts), dim=0),
        torch.from_numpy(np.repeat(labels, counts)),
        torch.ones(int(counts.sum())),
    )
    assert float(mean(*weighted)) == pytest.approx(float(mean(*repeated)), rel=1e-5)


@pytest.mark.parametrize("seed", range(5))
def test_training_on_weights_is_training_on_repetitions(seed):
    inputs, labels, counts = data(seed)
    counts[0] = max(counts[0], 1)
    repeated = examples(
        np.repeat(inputs, counts, axis=0), np.repeat(labels, counts), np.ones(int(counts.sum()))
    )
    found = train_linear(recipe(), examples(inputs, labels, counts))
    assert found == pytest.approx(train_linear(recipe(), repeated), abs=1e-6)


@pytest.mark.parametrize("scale", [0.001, 7.0])
def test_only_the_ratio_of_weights_matters(scale):
    inputs, labels, weights = data(1)
    found = train_linear(recipe(), examples(inputs, labels, weights * scale))
    assert found == pytest.approx(
        train_linear(recipe(), examples(inputs, labels, weights)), abs=1e-6
    )


@pytest.mark.parametrize("stop", range(1, 8))
@pytest.mark.parametrize("optim", ["sgd", "adamw"])
def test_resumed_equals_uninterrupted_at_every_epoch(stop, optim, tmp_path):
    plan = recipe(optim=optim, lr=0.05, momentum=0.9, epochs=8, dropout=0.4, batch_size=6)
    inputs, labels, weights = data(0)
    sample = examples(inputs.astype(np.float32), labels, weights)
    sample = dataclasses.replace(sample, weights_N=sample.weights_N.float())

    def run(checkpoints, until) -> tuple[Head, Best, list]:
        head, best = Head(FEATURES, CLASSES, dropout=0.4), Best("loss")
        pupil = learner(head, plan)
        reports = checkpoints.resume(pupil, best)
        for report in fit(pupil, sample, sample, recipe=plan, done=len(reports)):
            best.offer(report, head)
            reports.append(report)
            checkpoints.save(pupil, best, reports)
            if report.epoch == until:
                break
        return head, best, reports

    straight, best, reports = run(Checkpoints(tmp_path / "straight", {}), 8)
    run(Checkpoints(tmp_path / "stopped", {}), stop)
    resumed, resumed_best, resumed_reports = run(Checkpoints(tmp_path / "stopped", {}), 8)
    assert reports == resumed_reports
    assert (best.epoch, best.value) == (resumed_best.epoch, resumed_best.value)
    for name, each in straight.state_dict().items():
        assert torch.equal(each, resumed.state_dict()[name])
        assert torch.equal(best.state[name], resumed_best.state[name])
