"""The learning rate over a training, as a pure function of the step."""

import math

from pipeline.train.recipe.params import ScheduleParams

_ONE_CYCLE_START = 1 / 25


def lr_factor(step: int, total_steps: int, params: ScheduleParams) -> float:
    """Return the learning rate of a step as a share of the peak.

    The first step after the warm-up has the peak, the last step of all has `final_frac`; where both
    are the same step, it has the peak. No step has 0 but a last one with `final_frac` 0.

    Args:
        step: From 0 to `total_steps` - 1.
        total_steps: At least 1.
        params: The shape.

    Raises:
        ValueError: `step` is no step of this training.

    Source:
        cosine: Loshchilov and Hutter (2017), without restarts; one_cycle: Smith and Topin (2018),
        with both halves annealed by cosines as in torch's OneCycleLR. Momentum is not cycled.
    """
    if not 0 <= step < total_steps:
        raise ValueError(f"step must be in [0, {total_steps}), got {step}")
    warmup_steps = round(params.warmup_frac * total_steps)
    if step < warmup_steps:
        return _warmup((step + 1) / (warmup_steps + 1), params)
    if params.name == "constant":
        return 1.0
    falling_steps = total_steps - 1 - warmup_steps
    done = (step - warmup_steps) / falling_steps if falling_steps > 0 else 0.0
    return params.final_frac + (1.0 - params.final_frac) * (1.0 + math.cos(math.pi * done)) / 2.0


def _warmup(done: float, params: ScheduleParams) -> float:
    if params.name != "one_cycle":
        return done
    return _ONE_CYCLE_START + (1.0 - _ONE_CYCLE_START) * (1.0 - math.cos(math.pi * done)) / 2.0
