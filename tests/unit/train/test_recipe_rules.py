"""What does not go together in params.yaml is refused, with the reason."""

import pytest

from pipeline.ground.errors import ParamsError
from pipeline.modality.types.params import AugmentSection
from pipeline.train.recipe_rules import check_recipe, prediction_views
from tests.support.trainable import plan


def test_pieces_are_cut_out_of_items_with_an_area_alone():
    recipe = plan(train={"strategy": "full", "cutmix": 1.0}).recipe
    check_recipe(recipe.train, recipe.optim, plan().augment)
    with pytest.raises(ParamsError, match=r"train\.cutmix: must be 0\.0 for these items"):
        check_recipe(recipe.train, recipe.optim, AugmentSection())


def test_items_that_do_not_vary_have_one_view():
    assert prediction_views(AugmentSection(), 1) == (0,)
    with pytest.raises(ParamsError, match=r"train\.test_views: must be at most 1, the views"):
        prediction_views(AugmentSection(), 2)


def test_all_that_does_not_go_with_a_strategy_is_told_at_once():
    recipe = plan(
        train={"strategy": "head", "start": "probe", "unfreeze_epochs": 2},
        optim={"layer_decay": 0.9},
    ).recipe
    told = (
        r"train\.start: must be zero .* \(and train\.unfreeze_epochs 0, optim\.layer_decay 1\.0\)"
    )
    with pytest.raises(ParamsError, match=told):
        check_recipe(recipe.train, recipe.optim, plan().augment)
