"""What breaks a promise of privacy, and is refused with the reason.

The promise is of the model and its bundle. All that decides them is public, or comes out of the
noisy sums of `Mechanism`, or is refused here. Decision 0028 goes through each. Without torch.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from pipeline.ground.errors import ParamsError
from pipeline.ground.params import Task
from pipeline.train.params import TrainParams
from pipeline.train.recipe.params import LossParams


class _Rule(NamedTuple):
    """A param that must have one value."""

    field: str
    value: Any
    reason: str


_RULES = (
    _Rule("train.start", "zero", "a probe is fitted to the items without noise"),
    _Rule("train.batch_norm", "stored", "an item would change what others become"),
    _Rule("train.parts", 1, "the items of a step are drawn by chance, and may be none"),
    _Rule("train.mixup", 0.0, "an item would be in the gradients of others"),
    _Rule("train.cutmix", 0.0, "an item would be in the gradients of others"),
    _Rule("train.monitor", "loss", "the last epoch is kept, and no number chooses one"),
    _Rule("train.patience", 0, "when training stops would tell of the items"),
    _Rule("loss.class_weights", "none", "they are counted on train without noise"),
)


def check_private(task: Task, train: TrainParams, loss: LossParams) -> None:
    """Check that nothing in the params breaks the promise of a private training.

    Raises:
        ParamsError: Something does.
    """
    if train.privacy is None:
        return
    if train.strategy == "auto":
        raise _refused("train.strategy", "head, top or full", "auto starts from a probe", "auto")
    if task != "classification":
        raise _refused("task", "classification", "the scale of values is measured on train", task)
    sections = {"train": train, "loss": loss}
    for rule in _RULES:
        section, name = rule.field.split(".")
        got = getattr(sections[section], name)
        if got != rule.value:
            raise _refused(rule.field, rule.value, rule.reason, got)


def check_choices(choices: Mapping[str, Any]) -> None:
    """Check that no param was chosen by the data of a private training.

    Args:
        choices: What the stage `recipe` chose, by `section.key`.

    Raises:
        ParamsError: One was.
    """
    for field, value in choices.items():
        raise _refused(field, f"a value, such as {value}", "items of train would choose it", "auto")


def check_mode(mode: str, source: str) -> None:
    """Check that a private training starts from what is public.

    Args:
        mode: `normalize.mode`.
        source: `weights.source`.

    Raises:
        ParamsError: It does not.
    """
    if mode == "dataset":
        raise _refused("normalize.mode", "one that fits nothing", "it is fitted to train", mode)
    if source.startswith("model:"):
        raise _refused(
            "weights.source", "public weights", "a model of one's own may hold the items", source
        )


def _refused(field: str, must: Any, reason: str, got: Any) -> ParamsError:
    return ParamsError(
        "params.yaml", f"must be {must} with train.privacy: {reason}", field=field, got=got
    )
