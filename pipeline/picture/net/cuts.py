"""Where a backbone can be cut in two: its chain of steps, as timm runs them.

Below a cut everything is frozen and computed once; the named step and all above it are trained. A
family has a chain if its feature map comes from modules that run one after the other, each on the
output of the one before, and on nothing else.
"""

import difflib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

from torch import Tensor, nn

from pipeline.ground.errors import ParamsError

_FIELD = "features.cut"


@dataclass(frozen=True)
class Family:
    """How the models of one class of timm run: `before`, the stages, `after`."""

    title: str
    before: tuple[str, ...]
    """Steps below the lowest cut; a method of the model may be one."""

    stages: tuple[str, ...]
    """Names of stages, or of lists of stages."""

    after: tuple[str, ...] = ()
    """Steps that belong to the last stage."""


_VIT = ("patch_embed", "_pos_embed", "patch_drop", "norm_pre")

FAMILIES = {
    "EfficientNet": Family(
        "EfficientNet", ("conv_stem", "bn1"), ("blocks", "conv_head"), after=("bn2",)
    ),
    "MobileNetV3": Family("MobileNetV3", ("conv_stem", "bn1"), ("blocks",)),
    "ResNet": Family(
        "ResNet", ("conv1", "bn1", "act1", "maxpool"), ("layer1", "layer2", "layer3", "layer4")
    ),
    "ConvNeXt": Family("ConvNeXt", ("stem",), ("stages",), after=("norm_pre",)),
    "VisionTransformer": Family("ViT", _VIT, ("blocks",), after=("norm",)),
}
"""By the name of timm's class."""


class Chain:
    """The steps of one model, in order.

    Args:
        model: Made by timm.
        architecture: Its name, for errors.

    Attributes:
        stages: Names of its stages, lowest first; the place in it is a stage's number.

    Raises:
        ParamsError: Its family has no chain.
    """

    def __init__(self, model: Any, architecture: str) -> None:
        self._model = model
        self._architecture = architecture
        family = FAMILIES.get(type(model).__name__)
        if family is None:
            raise ParamsError(
                "params.yaml",
                f"must be none for {architecture}, which has no clean cut",
                field=_FIELD,
                remedy="cuts are known for "
                + ", ".join(sorted(each.title for each in FAMILIES.values())),
            )
        self._family = family
        self.stages = tuple(_stages(model, family))
        inner = [step for stage in self.stages for step in _steps(model, stage)]
        self._steps = (*family.before, *inner, *family.after)

    def name(self, cut: str | int) -> str:
        """Return the name of the step that a cut stands for: the first one above it.

        Args:
            cut: A stage, a step in a stage, or the number of a stage (negative: from the last).

        Raises:
            ParamsError: There is no such cut; the ones there are get named.
        """
        place = str(cut)
        if place.removeprefix("-").isdecimal() and -len(self.stages) <= int(place) < len(
            self.stages
        ):
            return self.stages[int(place)]
        if place in self.stages or place in self._inner():
            return place
        inner = [step for step in self._inner() if step not in self.stages]
        close = difflib.get_close_matches(place, [*self.stages, *inner], n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        finer = f", or a step in one, such as {inner[-1]}" if inner else ""
        raise ParamsError(
            "params.yaml",
            f"must be a cut of {self._architecture}",
            field=_FIELD,
            got=cut,
            remedy=f"there are {', '.join(self.stages)}, by name or by number "
            f"0 to {len(self.stages) - 1}{finer}{hint}",
        )

    def below(self, cut: str) -> tuple[str, ...]:
        """Return the steps below a cut."""
        return self._steps[: self._index(cut)]

    def above(self, cut: str | None) -> tuple[str, ...]:
        """Return the step of a cut and all above it; all steps without a cut."""
        return self._steps if cut is None else self._steps[self._index(cut) :]

    def groups(self, cut: str | None) -> list[tuple[str, ...]]:
        """Return the steps from a cut up, one group for each stage, the lowest first.

        Without a cut the steps before the first stage are the lowest group.
        """
        groups: dict[str, list[str]] = {}
        for step in self.above(cut):
            groups.setdefault(self._stage(step), []).append(step)
        return [tuple(steps) for steps in groups.values()]

    def run(self, steps: tuple[str, ...], values: Tensor) -> Tensor:
        """Run some steps one after the other."""
        for step in steps:
            call: Callable[[Tensor], Tensor] = attrgetter(step)(self._model)
            values = call(values)
        return values

    def parameters(self, steps: tuple[str, ...]) -> list[nn.Parameter]:
        """Return the parameters of some steps; those of the model itself belong to the first."""
        found = [each for step in steps for each in _parameters(attrgetter(step)(self._model))]
        if self._steps[0] in steps:
            found += self._model.parameters(recurse=False)
        return found

    def tail(self) -> list[nn.Module]:
        """Return the modules that run after pooling: those that are in no step."""
        inside = {step.split(".")[0] for step in self._steps}
        children = self._model.named_children()
        return [module for name, module in children if name not in inside]

    def _index(self, cut: str) -> int:
        return next(i for i, step in enumerate(self._steps) if _is_in(step, cut))

    def _inner(self) -> list[str]:
        return [step for stage in self.stages for step in _steps(self._model, stage)]

    def _stage(self, step: str) -> str:
        if step in self._family.before:
            return ""
        if step in self._family.after:
            return self.stages[-1]
        return next(stage for stage in self.stages if _is_in(step, stage))


def _stages(model: Any, family: Family) -> Iterator[str]:
    for name in family.stages:
        module = getattr(model, name)
        if name in ("blocks", "stages"):
            yield from (f"{name}.{child}" for child, _ in module.named_children())
        else:
            yield name


def _steps(model: Any, stage: str) -> list[str]:
    """Return the steps of a stage: its children where it is a plain sequence, else itself."""
    module = attrgetter(stage)(model)
    if type(module) is nn.Sequential:
        return [f"{stage}.{child}" for child, _ in module.named_children()]
    return [stage]


def _is_in(step: str, stage: str) -> bool:
    return step == stage or step.startswith(f"{stage}.")


def _parameters(step: Any) -> list[nn.Parameter]:
    return list(step.parameters()) if isinstance(step, nn.Module) else []
