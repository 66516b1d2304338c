"""A small head run gives the losses that it gave when it was recorded, to the last bit.

To record anew, after a change that is meant to change numbers:

    python -m tests.golden.test_head_run
"""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from pipeline.device import start_runtime
from pipeline.files import read_json, write_json
from pipeline.model.head import Head
from pipeline.train.loop import EpochReport, Examples, Learner, Recipe, TrainParams, fit
from pipeline.train.losses import Loss
from pipeline.train.metrics import quick_scores
from pipeline.train.optim import OptimParams, build_optimizer
from pipeline.train.schedule import ScheduleParams
from pipeline.train.temperature import probabilities

GOLDEN = Path(__file__).with_name("head_run.json")
COMMAND = "python -m tests.golden.test_head_run"
FEATURES, CLASSES = 16, 3


def examples(items: int, *, start: int) -> Examples:
    """Make features from a linear congruential generator: exact in every numpy."""
    state, numbers = start, []
    for _ in range(items * FEATURES):
        state = (1103515245 * state + 12345) % 2**31
        numbers.append((state >> 16) / 2**15 - 0.5)
    inputs = torch.tensor(numbers, dtype=torch.float32).reshape(items, FEATURES)
    labels = torch.tensor([int(number) % CLASSES for number in range(items)])
    inputs[torch.arange(items), labels] += 0.25
    return Examples(labels, torch.ones(items), lambda rows, epoch: inputs[torch.from_numpy(rows)])


def score(outputs_NK: Tensor, labels_N: Tensor) -> dict[str, float]:
    return quick_scores(probabilities(outputs_NK.numpy(), 1.0), labels_N.numpy())


def run() -> list[EpochReport]:
    recipe = Recipe(
        TrainParams(strategy="head", epochs=8, batch_size=16, dropout=0.2, batch_norm="stored",
                    monitor="loss", patience=0),
        OptimParams(name="adamw", lr=0.02, momentum=0.9, nesterov=True, beta1=0.9, beta2=0.999,
                    weight_decay=0.01, clip_norm=1.0),
        ScheduleParams(name="one_cycle", warmup_frac=0.3, final_frac=0.01),
        seed=1,
    )  # fmt: skip
    head = Head(FEATURES, CLASSES, dropout=0.2)
    train, val = examples(100, start=1), examples(40, start=2)
    head.fit_scaling(train.read(np.arange(100), 0))
    learner = Learner(head, build_optimizer(head, recipe.optim),
                      Loss("cross_entropy", 0.1, None), score)  # fmt: skip
    return list(fit(learner, train, val, recipe=recipe))


def record() -> dict:
    fingerprint = start_runtime(torch.device("cpu"), precision="fp32", threads=1).fingerprint()
    return {
        "command": COMMAND,
        "fingerprint": fingerprint,
        "epochs": [dataclasses.asdict(report) for report in run()],
    }


def test_the_losses_are_those_recorded():
    golden, found = read_json(GOLDEN), record()
    assert golden["command"] == COMMAND
    if golden["fingerprint"] == found["fingerprint"]:
        assert found["epochs"] == golden["epochs"]
    for epoch, expected in zip(found["epochs"], golden["epochs"], strict=True):
        for name in ("epoch", "lr", "train_loss", "val_loss", "images"):
            assert epoch[name] == pytest.approx(expected[name], abs=1e-3)


def test_the_recorded_run_learned_something():
    losses = [epoch["val_loss"] for epoch in read_json(GOLDEN)["epochs"]]
    assert losses[-1] < losses[0] < np.log(CLASSES)


if __name__ == "__main__":
    write_json(GOLDEN, record())
