"""What breaks the proof is refused, in a line with the reason."""

import pytest

from pipeline.ground.errors import ParamsError
from pipeline.train.private.rules import check_choices, check_mode, check_private
from tests.support.private import privacy
from tests.support.trainable import plan


def given(*, task="classification", loss=None, **train):
    return plan(task=task, train={"privacy": privacy(), **train}, loss=loss or {})


def check(asked):
    check_private(asked.task, asked.recipe.train, asked.loss)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"strategy": "auto"}, r"train\.strategy: must be head, top or full .*probe, got 'auto'"),
        ({"strategy": "top", "start": "probe"}, r"train\.start: must be zero .*without noise"),
        ({"strategy": "top", "batch_norm": "batch"}, r"train\.batch_norm: must be stored"),
        ({"parts": 2}, r"train\.parts: must be 1"),
        ({"mixup": 0.2}, r"train\.mixup: must be 0\.0 .*gradients of others"),
        ({"strategy": "full", "cutmix": 0.2}, r"train\.cutmix: must be 0\.0"),
        ({"patience": 3}, r"train\.patience: must be 0"),
        ({"monitor": "accuracy"}, r"train\.monitor: must be loss .*the last epoch is kept"),
        ({"loss": {"class_weights": "balanced"}}, r"loss\.class_weights: must be none"),
        ({"task": "regression"}, r"task: must be classification .*scale of values"),
    ],
)
def test_a_recipe_that_breaks_the_proof_is_refused(changes, message):
    with pytest.raises(ParamsError, match=message):
        check(given(**changes))


def test_nothing_of_it_is_refused_without_a_promise():
    check(given())
    check(plan(train={"mixup": 0.2, "patience": 3, "strategy": "auto"}))


def test_what_data_chose_is_refused():
    check_choices({})
    with pytest.raises(ParamsError, match=r"transform\.resize: must be a value, such as crop"):
        check_choices({"transform.resize": "crop"})


@pytest.mark.parametrize(
    ("mode", "source", "field"),
    [
        ("dataset", "package:some", "normalize.mode"),
        ("pretrained", "model:models:/a@b", "weights.source"),
    ],
)
def test_what_is_fitted_to_the_items_is_no_start(mode, source, field):
    check_mode("pretrained", "package:some")
    with pytest.raises(ParamsError, match=field):
        check_mode(mode, source)
