"""`optim`, `schedule` and `loss`: the parts of a recipe."""

from typing import Literal, Self

from pydantic import Field, model_validator

from pipeline.ground.params import Section


class OptimParams(Section):
    """`optim`: how the weights move."""

    name: Literal["sgd", "adam", "adamw"]
    """`adam` adds weight decay to the gradient, `adamw` shrinks the weights by it directly."""

    lr: float = Field(gt=0.0, le=10.0)
    """Peak learning rate, of a step of one batch; the schedule scales it."""

    momentum: float = Field(ge=0.0, lt=1.0)
    """sgd only."""

    nesterov: bool
    """sgd only: look ahead along the momentum."""

    beta1: float = Field(ge=0.0, lt=1.0)
    """adam and adamw: decay of the mean of gradients."""

    beta2: float = Field(ge=0.0, lt=1.0)
    """adam and adamw: decay of the mean of squared gradients."""

    weight_decay: float = Field(ge=0.0, le=1.0)
    """Not on biases and normalization layers."""

    clip_norm: float = Field(ge=0.0)
    """Largest norm of the whole gradient; 0: off."""

    layer_decay: float = Field(gt=0.0, le=1.0)
    """Learning rate of a stage of the backbone over that of the one above it, the head on top."""

    @model_validator(mode="after")
    def _nesterov_needs_momentum(self) -> Self:
        if self.name == "sgd" and self.nesterov and self.momentum == 0.0:
            raise ValueError(
                "nesterov: true needs a momentum above 0, got 0.0 (set `optim.nesterov: false`)"
            )
        return self


def optim_of_layer(lr: float) -> OptimParams:
    """Return how a linear layer on features is trained beside the project's own recipe: AdamW."""
    return OptimParams(
        name="adamw",
        lr=lr,
        momentum=0.0,
        nesterov=False,
        beta1=0.9,
        beta2=0.999,
        weight_decay=0.0002,
        clip_norm=0.0,
        layer_decay=1.0,
    )


class ScheduleParams(Section):
    """`schedule`: how the learning rate changes from step to step."""

    name: Literal["constant", "cosine", "one_cycle"]
    """After the warm-up `constant` stays at the peak; the others fall along half a cosine."""

    warmup_frac: float = Field(ge=0.0, le=1.0)
    """Share of all steps in warm-up: linear from 0; for `one_cycle` a cosine from 1/25."""

    final_frac: float = Field(ge=0.0, le=1.0)
    """Learning rate of the last step over the peak; `constant` does not read it."""


class LossParams(Section):
    """`loss`: what training minimizes."""

    name: Literal["cross_entropy", "mse"]
    """`cross_entropy` (nats) for classification; `mse` for regression, on standardized targets."""

    label_smoothing: float = Field(ge=0.0, lt=1.0)
    """Share of the target probability that is spread evenly over all classes."""

    class_weights: Literal["none", "balanced"]
    """`balanced`: every class has the same total weight in train."""

    sample_weights: bool
    """Weigh items by the `weight` column."""
