"""A private training from files to files: what it learns, what it tells, and what it never does."""

import csv
import dataclasses

import numpy as np
import pytest
import torch

from pipeline.model.bundle import Bundle, Predictor
from pipeline.train.checkpoint import Checkpoints
from pipeline.train.inputs import open_parts
from pipeline.train.loop import predict
from pipeline.train.private import mechanism
from pipeline.train.private.mechanism import Mechanism
from pipeline.train.trainer import open_training
from tests.support.private import fixed_words, privacy
from tests.support.trainable import cpu, make_sources, plan

NOISE = 0.05
SGD = {"name": "sgd", "lr": 4.0, "nesterov": False, "momentum": 0.0, "weight_decay": 0.0}


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    return make_sources(tmp_path_factory.mktemp("private"), items=60, cut="blocks.1")


@pytest.fixture(autouse=True)
def cheap(monkeypatch):
    """Ask the accountant for no noise: it has its own tests, and takes seconds."""
    monkeypatch.setattr(mechanism, "find_multiplier", lambda *_, **__: NOISE)


def private(strategy="head", **train):
    given = {
        "strategy": strategy,
        "batch_size": "full",
        "epochs": 4,
        "dropout": 0.0,
        "privacy": privacy(clip=0.1, epsilon=50.0, center=0.1),
        **train,
    }
    return plan(train=given, optim=SGD, augment={"hflip": 0.0, "vflip": 0.0, "transpose": 0.0})


def write(training, folder):
    training.finish().write(
        folder / "model", bundle=folder / "bundle", history=folder / "history", kept=folder / "kept"
    )


def test_a_head_learns_and_says_what_it_promises(sources, tmp_path):
    training = open_training(private(epochs=30), open_parts(sources), cpu())
    list(training.run(None))
    write(training, tmp_path)
    assert training.reports[-1].metrics["accuracy"] > 0.8
    assert training.best.epoch == 30
    bundle = Bundle.load(tmp_path / "bundle")
    assert bundle.temperature == 1.0
    told = bundle.privacy
    assert (told["epsilon"], told["delta"], told["unit"], told["units"]) == (50.0, 1e-3, "item", 36)
    assert told["releases"] == [
        {"multiplier": NOISE, "rate": 1.0, "steps": 30},
        {"multiplier": NOISE * 0.1**-0.5, "rate": 1.0, "steps": 1},
    ]
    rows = training.rows.val
    served = Predictor.load(tmp_path / "model", tmp_path / "bundle").outputs(
        training.parts.store.read(rows)
    )
    assert served == pytest.approx(predict(training.learner, training.val).numpy(), abs=1e-3)


def test_the_loss_on_train_is_told_nowhere(sources, tmp_path):
    training = open_training(private(), open_parts(sources), cpu())
    reports = list(training.run(None))
    write(training, tmp_path)
    assert all("train_loss" not in each.values() for each in reports)
    rows = list(csv.DictReader((tmp_path / "history").read_text().splitlines()))
    assert [each["train_loss"] for each in rows] == [""] * 4
    assert all(each["val_loss"] for each in rows)


def test_two_trainings_never_have_the_same_noise(sources):
    models = []
    for _ in range(2):
        training = open_training(private(epochs=1), open_parts(sources), cpu())
        list(training.run(None))
        models.append(training.head.weight.detach().clone())
    assert (models[0] != models[1]).all()


@pytest.mark.parametrize("strategy", ["top", "full"])
@pytest.mark.parametrize("unit", ["item", "group"])
def test_layers_below_the_head_learn_too(sources, strategy, unit, monkeypatch):
    monkeypatch.setattr(mechanism, "find_multiplier", lambda *_, **__: 0.01)
    given = private(strategy, batch_size=18, epochs=1, privacy=privacy(unit=unit))
    training = open_training(given, open_parts(sources), cpu())
    before = [each.detach().clone() for group in training.learner.groups for each in group]
    list(training.run(None))
    after = [each for group in training.learner.groups for each in group]
    assert all(not torch.equal(old, new) for old, new in zip(before, after, strict=True))
    assert len(after) > 2


@pytest.mark.parametrize("strategy", ["top", "full"])
def test_sums_of_a_network_are_those_of_autograd_item_by_item(sources, strategy):
    training = open_training(private(strategy), open_parts(sources), cpu())
    learner, items = training.learner, np.arange(7)
    stand_still(learner.model)
    parameters = [each for each in learner.model.parameters() if each.requires_grad]
    with torch.no_grad():
        training.head.weight.normal_(generator=torch.Generator().manual_seed(1))
    given = mechanism.Batch(
        training.train.read(items, 0), training.train.targets_N[:7], torch.ones(7), None, items
    )
    expected = [torch.zeros_like(each) for each in parameters]
    for item in range(7):
        loss, _ = learner.loss.by_item(
            learner.model(given.inputs[item : item + 1]),
            given.targets_B[item : item + 1],
            given.weights_B[item : item + 1],
        )
        gradients = torch.autograd.grad(loss.sum(), parameters)
        length = torch.sqrt(sum(each.square().sum() for each in gradients))
        for total, each in zip(expected, gradients, strict=True):
            total += each * min(1.0, 0.2 / float(length))
    found = mechanism.clipped_sums(learner, given, torch.arange(7), clip=0.2)
    for mine, theirs in zip(found, expected, strict=True):
        assert torch.allclose(mine, theirs, rtol=1e-3, atol=1e-5)


def stand_still(model):
    """Set train mode, with stored statistics of batch normalization."""
    for module in model.modules():
        module.training = not isinstance(module, torch.nn.BatchNorm2d)


def test_a_checkpoint_is_saved_before_its_epoch_is_told(sources, tmp_path):
    given, parts = private(epochs=3), open_parts(sources)
    training = open_training(given, parts, cpu())
    checkpoints = Checkpoints(tmp_path, training.identity())
    reports = training.run(checkpoints)
    next(reports), next(reports)
    again = open_training(given, parts, cpu())
    assert again.resume(checkpoints) == 2
    assert torch.equal(again.head.weight, training.head.weight)
    assert [each.epoch for each in again.run(checkpoints)] == [3]


def test_the_mean_of_the_features_is_measured_with_noise(sources):
    given = private(privacy=privacy(center=0.1))
    words = fixed_words(1)
    training = open_training(given, open_parts(sources), cpu())
    own = dataclasses.replace(training.mechanism, words=words)
    assert isinstance(own, Mechanism)
    rows = torch.from_numpy(training.parts.features.pooled[training.rows.train])
    exact = torch.nn.functional.normalize(rows).mean(0)
    gap = training.head.mean - exact
    assert float(gap.std()) == pytest.approx(own.center / 36, rel=0.25)
    assert torch.equal(training.head.std, torch.ones_like(training.head.std))
