"""Which epoch is kept: the best on validation; of equal ones, the earliest."""

from typing import Literal

from torch import Tensor, nn

from pipeline.judge.metrics import METRICS
from pipeline.train.loop import EpochReport


class Best:
    """Remembers the best epoch so far, and the model as it was then.

    Args:
        monitor: `loss` on validation, or the name of a validation metric.
        last: Take the last epoch instead, however it did.
    """

    def __init__(self, monitor: str, *, last: bool = False) -> None:
        self.monitor = monitor
        self.last = last
        self.epoch = 0
        """0: there was none yet."""
        self.value: float | None = None
        self.state: dict[str, Tensor] = {}
        """The model's state of that epoch, on the CPU."""

    @property
    def direction(self) -> Literal["max", "min"]:
        """Which way the monitored number gets better."""
        return METRICS[self.monitor].better

    def offer(self, report: EpochReport, model: nn.Module) -> bool:
        """Look at an epoch that is over; keep a copy of the model if it is better than all before.

        Returns:
            Whether it is.
        """
        value = report.val_loss if self.monitor == "loss" else report.metrics[self.monitor]
        if self.value is not None and not self.last:
            better = value > self.value if self.direction == "max" else value < self.value
            if not better:
                return False
        self.epoch, self.value = report.epoch, value
        self.state = copy_state(model)
        return True

    def stale(self, epoch: int) -> int:
        """Return the number of epochs since the best one."""
        return epoch - self.epoch


def copy_state(model: nn.Module) -> dict[str, Tensor]:
    """Return a copy of a model's state, on the CPU."""
    return {name: each.detach().to("cpu", copy=True) for name, each in model.state_dict().items()}
