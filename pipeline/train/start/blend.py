"""Between a start and what was trained from it: the mean of both weights that validation likes.

What ships is then never worse on validation than the start. On few items the mean is often better
than either: training learns the data by heart, and the start knows none of it.

Source: robust fine-tuning of zero-shot models (WiSE-FT), Wortsman et al. (2022).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Of what was trained in the mean; 0 is the start."""

State = Mapping[str, Tensor]


@dataclass(frozen=True)
class Candidate:
    """One mean, and how it does on validation.

    Attributes:
        epoch: Of what was trained; 0 is the start itself.
        share: Of that epoch in the mean, 0..1.
        loss: On validation, at the temperature that suits it best.
        metrics: On validation.
    """

    epoch: int
    share: float
    loss: float
    metrics: Mapping[str, float]

    def __str__(self) -> str:
        """Say what it is, and its loss."""
        name = "the probe" if self.share == 0 else f"{self.share:g} of epoch {self.epoch}"
        return f"{name} (val loss {self.loss:.4f})"


def mix(start: State, trained: State, share: float) -> dict[str, Tensor]:
    """Return the mean of two states; counters, which have no mean, are those of the trained one."""
    return {
        name: start[name].lerp(each, share) if each.is_floating_point() else each
        for name, each in trained.items()
    }


def choose(tried: Sequence[Candidate]) -> Candidate:
    """Return the candidate with the lowest loss; of equal ones the nearest to the start."""
    return min(tried, key=lambda each: (each.loss, each.share, each.epoch))
