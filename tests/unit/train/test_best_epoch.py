"""The best epoch is the best on validation, the earliest of equals; its model is kept unchanged."""

import pytest
import torch
from torch import nn

from pipeline.ground.errors import ParamsError
from pipeline.train.best_epoch import Best
from pipeline.train.loop import EpochReport
from pipeline.train.recipe_rules import check_monitor


def reports(values, monitor):
    for epoch, value in enumerate(values, start=1):
        losses = {"val_loss": value} if monitor == "loss" else {"val_loss": 1.0}
        yield EpochReport(
            epoch=epoch, lr=0.1, train_loss=1.0, items=1, metrics={monitor: value}, **losses
        )


@pytest.mark.parametrize(
    ("monitor", "values", "best"),
    [
        ("loss", [3.0, 1.0, 2.0], 2),
        ("loss", [1.0, 1.0, 1.0], 1),
        ("accuracy", [0.1, 0.9, 0.9], 2),
        ("mae", [0.3, 0.2, 0.2], 2),
        ("accuracy", [0.0], 1),
        ("f1_macro", [0.5, 0.4, 0.6], 3),
    ],
    ids=str,
)
def test_the_best_epoch_is_kept_and_of_equals_the_earliest(monitor, values, best):
    tracker, layer = Best(monitor), nn.Linear(1, 1)
    for report in reports(values, monitor):
        nn.init.constant_(layer.weight, report.epoch)
        assert tracker.offer(report, layer) is (tracker.epoch == report.epoch)
    assert tracker.epoch == best
    assert tracker.value == values[best - 1]
    assert tracker.state["weight"].item() == best
    assert tracker.stale(len(values)) == len(values) - best


def test_the_copy_does_not_change_with_the_model():
    tracker, layer = Best("loss"), nn.Linear(1, 1)
    tracker.offer(next(reports([1.0], "loss")), layer)
    before = tracker.state["weight"].clone()
    nn.init.constant_(layer.weight, 99.0)
    assert torch.equal(tracker.state["weight"], before)


def test_monitor_must_fit_the_task():
    check_monitor("classification", "accuracy")
    check_monitor("regression", "mae")
    with pytest.raises(ParamsError) as caught:
        check_monitor("regression", "accuracy")
    assert str(caught.value) == (
        "params.yaml: train.monitor: must be one of loss, mae, rmse for `task: regression`, "
        "got 'accuracy'"
    )
