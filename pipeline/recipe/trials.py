"""Which values are tried, and which one is taken.

How items become rows changes what a network sees: another way than the first, the reference, must
be better beyond chance. How rows vary must be harmless: items that are shown so must be told as
well as they are. So equal data give equal choices, and a little more data does not turn one over
for nothing.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from pipeline.recipe.score import Score

MARGIN = 2.0
"""Standard errors by which a candidate must be better than the reference."""

LEAST_GAIN = 0.01
"""Share of its loss by which a candidate must be better."""

MOST_HARM = 0.05
"""Share of the reference's loss that a view may lose, and its standard error with it."""

NOTHING = 0.005
"""Squared error, of about 1 for who knows nothing, that is not worth a look."""

_Z95 = 1.96


@dataclass(frozen=True)
class Trial:
    """One value, as it was tried.

    Attributes:
        param: `section.key`.
        value: Of the param.
        loss: Mean squared error of items of the sample, each by a fit without it.
        accuracy: Of the same predictions; None for regression.
        difference: To the reference's loss; below 0 is better.
        error: Standard error of the difference, over items.
    """

    param: str
    value: Any
    loss: float
    accuracy: float | None
    difference: float
    error: float

    @property
    def is_better(self) -> bool:
        """Whether it beats the reference beyond chance, and by enough to matter."""
        return self.difference < -max(MARGIN * self.error, LEAST_GAIN * self.loss)

    @property
    def is_harmless(self) -> bool:
        """Whether it is not worse than the reference beyond chance, and surely not by much."""
        reference, surely = self.loss - self.difference, self.difference + self.error
        is_like = self.difference < MARGIN * self.error or self.difference <= 0
        return surely < NOTHING or (is_like and surely < MOST_HARM * reference)

    def row(self, *, chosen: bool) -> dict[str, Any]:
        """Return it as a line of a table, with the 95 % interval of the difference."""
        half = _Z95 * self.error
        interval = {"low": self.difference - half, "high": self.difference + half}
        return {**asdict(self), **interval, "chosen": chosen}


def judge(param: str, value: Any, found: Score, reference: Score, *, regression: bool) -> Trial:
    """Compare a candidate with the reference, item by item."""
    differences = found.losses_N - reference.losses_N
    error = float(differences.std(ddof=1) / np.sqrt(len(differences)))
    accuracy = None if regression else float(found.right_N.mean())
    return Trial(param, value, found.loss, accuracy, float(differences.mean()), error)


def take_better(trials: Sequence[Trial]) -> Trial:
    """Return the best of those that beat the first beyond chance; else the first."""
    better = [each for each in trials[1:] if each.is_better]
    return min(better, key=lambda each: each.loss) if better else trials[0]


def take_harmless(trials: Sequence[Trial]) -> Trial:
    """Return the last of those that do no harm; else the first, which changes nothing."""
    return ([each for each in trials[1:] if each.is_harmless] or [trials[0]])[-1]
