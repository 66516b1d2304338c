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
