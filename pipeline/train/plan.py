"""What to train, and how: all params of a training. Without torch."""

from dataclasses import dataclass, replace
from math import ceil

from pipeline.ground.params import Task
from pipeline.modality.types.params import AugmentSection
from pipeline.train.params import TrainParams
from pipeline.train.recipe.params import LossParams, OptimParams, ScheduleParams

_LEAST_STEPS = 64
_ITEMS_A_STEP = 16


@dataclass(frozen=True)
class Recipe:
    """The params that the loop reads."""

    train: TrainParams
    optim: OptimParams
    schedule: ScheduleParams
    seed: int

    @property
    def epochs(self) -> int:
        """Times that every item of train is seen, as a number.

        Raises:
            ValueError: It is still to be found from the number of items.
        """
        if self.train.epochs == "auto":
            raise ValueError("the recipe must be settled first")
        return self.train.epochs

    def settle(self, items: int, views: int) -> "Recipe":
        """Return the recipe for so many items of train, with epochs as a number."""
        if self.train.epochs != "auto":
            return self
        epochs = auto_epochs(items, views, self.train.batch_size)
        return replace(self, train=self.train.model_copy(update={"epochs": epochs}))


def auto_epochs(items: int, views: int, batch_size: int | str) -> int:
    """Return epochs for so many items: what counts is the number of steps.

    Few items are seen more often: 64 steps whatever there is, and a step more for each 16 items, or
    for each 8 where an item has several views: it then takes longer until there is nothing new.
    """
    steps = _LEAST_STEPS + items / _ITEMS_A_STEP * (1 if views == 1 else 2)
    batches = 1 if batch_size == "full" else ceil(items / int(batch_size))
    return max(2, round(steps / batches))


@dataclass(frozen=True)
class Plan:
    """All params of a training."""

    task: Task
    target: str
    """Name of what is predicted."""

    recipe: Recipe
    loss: LossParams
    augment: AugmentSection
