"""Which parts of a recipe have meaning for which strategy; every other combination is refused.

Without torch, so that params.yaml can be checked in no time.

A param that a strategy cannot act on would be recorded with the run as if it had done something.
"""

from dataclasses import dataclass
from typing import Any, Literal

from pipeline.ground.errors import ParamsError
from pipeline.ground.params import Task
from pipeline.ground.tasks import KINDS
from pipeline.judge.metrics import monitors
from pipeline.modality.types.params import AugmentSection
from pipeline.train.params import TrainParams
from pipeline.train.plan import Plan
from pipeline.train.private.rules import check_private
from pipeline.train.recipe.params import LossParams, OptimParams

Strategy = Literal["auto", "head", "top", "full"]


@dataclass(frozen=True)
class Part:
    """One param of a recipe.

    Attributes:
        field: In params.yaml.
        off: The value with which it does nothing.
        reasons: By strategy for which it has no meaning: why.
    """

    field: str
    off: Any
    reasons: dict[Strategy, str]


PARTS = (
    Part("train.start", "zero", {"head": "the head is the probe"}),
    Part("train.start", "probe", {"auto": "what it trains starts from the probe"}),
    Part("train.batch_norm", "stored", {"head": "there is no batch normalization in the head"}),
    Part("train.unfreeze_epochs", 0, {"head": "there is one layer"}),
    Part("optim.layer_decay", 1.0, {"head": "there is one layer"}),
    Part(
        "train.cutmix",
        0.0,
        {
            "head": "pooled features have no area to cut from",
            "top": "a piece of an activation has seen what is around it; see train.mixup",
        },
    ),
)


def check_plan(plan: Plan) -> None:
    """Check the params of a training against each other.

    Raises:
        ParamsError: Two of them do not go together.
    """
    train = plan.recipe.train
    check_loss(plan.task, plan.loss)
    check_monitor(plan.task, train.monitor)
    check_recipe(train, plan.recipe.optim, plan.augment)
    prediction_views(plan.augment, train.test_views)
    check_private(plan.task, train, plan.loss)


def check_recipe(train: TrainParams, optim: OptimParams, augment: AugmentSection) -> None:
    """Check that every part of a recipe has meaning for its strategy and its items.

    Raises:
        ParamsError: One has none.
    """
    given = {
        f"{section}.{name}": value
        for section, params in {"train": train, "optim": optim}.items()
        for name, value in params
    }
    wrong = [
        part for part in PARTS if train.strategy in part.reasons and given[part.field] != part.off
    ]
    if wrong:
        first, *others = wrong
        reason = first.reasons[train.strategy]
        raise ParamsError(
            "params.yaml",
            f"must be {first.off} for `train.strategy: {train.strategy}`: {reason}",
            field=first.field,
            got=given[first.field],
            remedy=f"and {', '.join(f'{each.field} {each.off}' for each in others)}"
            if others
            else None,
        )
    if train.batch_size != "full" and train.parts > train.batch_size:
        raise ParamsError(
            "params.yaml",
            f"must be at most {train.batch_size}, which is train.batch_size",
            field="train.parts",
            got=train.parts,
        )
    if train.cutmix > 0 and not augment.has_area:
        raise ParamsError(
            "params.yaml",
            "must be 0.0 for these items, which have no area to cut from",
            field="train.cutmix",
            got=train.cutmix,
            remedy="see train.mixup",
        )


def check_ranks(ranks: int, parts: int) -> None:
    """Check that the parts of a step can be dealt out to the ranks.

    Raises:
        ParamsError: They cannot.
    """
    if parts % ranks:
        fitting = ", ".join(str(each) for each in range(1, parts + 1) if parts % each == 0)
        raise ParamsError(
            "params.yaml",
            f"must divide train.parts, which is {parts}",
            field="machine.ranks",
            got=ranks,
            remedy=f"set it to one of {fitting}; train.parts changes results, machine.ranks none",
        )


def prediction_views(augment: AugmentSection, count: int | Literal["auto"]) -> tuple[int, ...]:
    """Return the views that a prediction is averaged over, the item as it is first.

    Raises:
        ParamsError: Training items have fewer.
    """
    allowed = augment.views()
    if count == "auto":
        return allowed
    if count > len(allowed):
        raise ParamsError(
            "params.yaml",
            f"must be at most {len(allowed)}, the views that augment allows",
            field="train.test_views",
            got=count,
            remedy="lower it, or let items vary more in augment",
        )
    return allowed[:count]


def check_monitor(task: Task, monitor: str) -> None:
    """Check that the task has the monitored number.

    Raises:
        ParamsError: It has not.
    """
    if monitor not in monitors(task):
        raise ParamsError(
            "params.yaml",
            f"must be one of {', '.join(monitors(task))} for `task: {task}`",
            field="train.monitor",
            got=monitor,
        )


def check_loss(task: Task, params: LossParams) -> None:
    """Check that the loss fits the task.

    Raises:
        ParamsError: It does not.
    """
    fitting = KINDS[task].loss
    if params.name != fitting:
        raise ParamsError(
            "params.yaml",
            f"must be {fitting!r} for `task: {task}`",
            field="loss.name",
            got=params.name,
        )
    if params.name == "mse" and params.class_weights != "none":
        raise ParamsError(
            "params.yaml",
            "must be 'none' for `loss.name: mse`, which has no classes",
            field="loss.class_weights",
            got=params.class_weights,
        )
    if params.name == "mse" and params.label_smoothing > 0.0:
        raise ParamsError(
            "params.yaml",
            "must be 0 for `loss.name: mse`, which has no classes",
            field="loss.label_smoothing",
            got=params.label_smoothing,
        )
