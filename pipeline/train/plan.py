"""What to train, and how: all params of a training. Without torch."""

from dataclasses import dataclass

from pipeline.ground.params import Task
from pipeline.modality.types.params import AugmentSection
from pipeline.train.params import TrainParams
from pipeline.train.recipe.params import LossParams, OptimParams, ScheduleParams


@dataclass(frozen=True)
class Recipe:
    """The params that the loop reads."""

    train: TrainParams
    optim: OptimParams
    schedule: ScheduleParams
    seed: int


@dataclass(frozen=True)
class Plan:
    """All params of a training."""

    task: Task
    target: str
    """Name of what is predicted."""

    recipe: Recipe
    loss: LossParams
    augment: AugmentSection
