"""The loss is a weighted mean with known values, and one that does not fit the task is refused."""

import math

import pytest
import torch

from pipeline.ground.errors import ParamsError
from pipeline.ground.params import load_section
from pipeline.train.recipe.losses import Loss, balanced_weights, build_loss, mean
from pipeline.train.recipe.params import LossParams
from pipeline.train.recipe_rules import check_loss


def params(**changes) -> LossParams:
    values = {
        "name": "cross_entropy",
        "label_smoothing": 0.0,
        "class_weights": "none",
        "sample_weights": True,
    }
    return LossParams.model_validate(values | changes)


def value(loss, outputs, targets, weights) -> float:
    sums = loss.sums(torch.tensor(outputs), torch.tensor(targets), torch.tensor(weights))
    return float(mean(*sums))


def test_cross_entropy_of_even_logits_is_the_log_of_the_number_of_classes():
    loss = Loss("cross_entropy", 0.0, None)
    assert value(loss, [[0.0] * 4] * 3, [0, 1, 3], [1.0, 1.0, 1.0]) == pytest.approx(math.log(4))


def test_items_count_by_their_weight():
    loss = Loss("cross_entropy", 0.0, None)
    # softmax of (0, ln 3) is (1/4, 3/4): losses ln 4 and ln 4/3
    logits = [[0.0, math.log(3)], [0.0, math.log(3)]]
    expected = (1.0 * math.log(4) + 3.0 * math.log(4 / 3)) / 4.0
    assert value(loss, logits, [0, 1], [1.0, 3.0]) == pytest.approx(expected)


def test_smoothing_spreads_the_target_over_all_classes():
    loss = Loss("cross_entropy", 0.2, None)
    expected = 0.9 * math.log(4 / 3) + 0.1 * math.log(4)
    assert value(loss, [[0.0, math.log(3)]], [1], [1.0]) == pytest.approx(expected)


def test_class_weights_multiply_sample_weights():
    loss = Loss("cross_entropy", 0.0, torch.tensor([2.0, 1.0]))
    logits = [[0.0, math.log(3)], [0.0, math.log(3)]]
    expected = (2.0 * 0.5 * math.log(4) + 3.0 * math.log(4 / 3)) / 4.0
    assert value(loss, logits, [0, 1], [0.5, 3.0]) == pytest.approx(expected)


def test_squared_error_is_the_weighted_mean():
    loss = Loss("mse", 0.0, None)
    assert value(loss, [[1.0], [4.0]], [0.0, 1.0], [1.0, 2.0]) == pytest.approx((1 + 2 * 9) / 3)


def test_a_batch_whose_weights_are_all_zero_moves_nothing():
    outputs = torch.tensor([[3.0, -1.0]], requires_grad=True)
    total, weight = Loss("cross_entropy", 0.0, None).sums(
        outputs, torch.tensor([1]), torch.zeros(1)
    )
    mean(total, weight).backward()
    assert outputs.grad.tolist() == [[0.0, 0.0]]


def test_half_precision_outputs_are_judged_in_single_precision():
    logits = torch.tensor([[300.0, 301.0]], dtype=torch.bfloat16)
    total, _ = Loss("cross_entropy", 0.0, None).sums(logits, torch.tensor([1]), torch.ones(1))
    assert total.dtype == torch.float32


def test_balanced_weights_give_every_class_the_same_total_and_keep_the_sum():
    labels, weights = torch.tensor([0, 0, 0, 1, 3, 3]), torch.tensor([1.0, 1.0, 2.0, 1.0, 0.5, 0.5])
    balanced = balanced_weights(labels, weights, 4)
    totals = torch.zeros(4).index_add_(0, labels, weights * balanced[labels])
    assert totals.tolist() == pytest.approx([2.0, 2.0, 0.0, 2.0])
    assert balanced[2] == 1.0


def test_balanced_comes_from_params():
    loss = build_loss(
        params(class_weights="balanced"),
        torch.tensor([0, 0, 0, 1]),
        weights_N=torch.ones(4),
        classes=2,
    )
    assert loss.class_weights_K.tolist() == pytest.approx([2 / 3, 2.0])
    assert build_loss(params(), torch.tensor([0, 1]), weights_N=torch.ones(2), classes=2) == Loss(
        "cross_entropy", 0.0, None
    )


@pytest.mark.parametrize(
    ("task", "changes", "text"),
    [
        (
            "classification",
            {"name": "mse"},
            "params.yaml: loss.name: must be 'cross_entropy' for `task: classification`, got 'mse'",
        ),
        (
            "regression",
            {},
            "params.yaml: loss.name: must be 'mse' for `task: regression`, got 'cross_entropy'",
        ),
        (
            "regression",
            {"name": "mse", "class_weights": "balanced"},
            "params.yaml: loss.class_weights: must be 'none' for `loss.name: mse`, which has no "
            "classes, got 'balanced'",
        ),
        (
            "regression",
            {"name": "mse", "label_smoothing": 0.1},
            "params.yaml: loss.label_smoothing: must be 0 for `loss.name: mse`, "
            "which has no classes, got 0.1",
        ),
    ],
    ids=["mse-classes", "ce-values", "balanced-values", "smoothing-values"],
)
def test_a_loss_that_does_not_fit_the_task_is_refused(task, changes, text):
    with pytest.raises(ParamsError) as caught:
        check_loss(task, params(**changes))
    assert str(caught.value) == text
    assert caught.value.exit_code == 2


def test_a_fitting_loss_passes():
    check_loss("classification", params(label_smoothing=0.1, class_weights="balanced"))
    check_loss("regression", params(name="mse"))


def test_all_wrong_values_are_told_at_once(tmp_path):
    raw = {
        "loss": {
            "name": "mse",
            "label_smoothing": 1.0,
            "class_weights": "auto",
            "sample_weights": 1,
        }
    }
    with pytest.raises(ParamsError) as caught:
        load_section(raw, "loss", LossParams, path=tmp_path / "params.yaml")
    for field in ("loss.label_smoothing", "loss.class_weights", "loss.sample_weights"):
        assert field in str(caught.value)
