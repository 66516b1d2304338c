"""Which parts of a recipe have meaning for which strategy; every other combination is refused.

A param that a strategy cannot act on would be recorded with the run as if it had done something.
"""

from dataclasses import dataclass
from typing import Any, Literal

from pipeline.ground.errors import ParamsError
from pipeline.train.params import TrainParams
from pipeline.train.recipe.params import OptimParams

Strategy = Literal["head", "top", "full"]


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


def check_recipe(train: TrainParams, optim: OptimParams) -> None:
    """Check that every part of a recipe has meaning for its strategy.

    Raises:
        ParamsError: One has none.
    """
    sections = {"train": train, "optim": optim}
    for part in PARTS:
        section, name = part.field.split(".")
        value = getattr(sections[section], name)
        reason = part.reasons.get(train.strategy)
        if reason is not None and value != part.off:
            raise ParamsError(
                "params.yaml",
                f"must be {part.off} for `train.strategy: {train.strategy}`: {reason}",
                field=part.field,
                got=value,
            )
