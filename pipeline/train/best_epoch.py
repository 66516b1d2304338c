"""Which epoch is kept: the best on validation; of equal ones, the earliest."""

from typing import Literal

from torch import Tensor, nn

from pipeline.ground.errors import ParamsError
from pipeline.ground.params import Task
from pipeline.judge.metrics import METRICS, monitors
from pipeline.train.loop import EpochReport


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


class Best:
    """Remembers the best epoch so far, and the model as it was then.

    Args:
        monitor: `loss` on validation, or the name of a validation metric.
    """

    def __init__(self, monitor: str) -> None:
        self.monitor = monitor
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
        if self.value is not None:
            better = value > self.value if self.direction == "max" else value < self.value
            if not better:
                return False
        self.epoch, self.value = report.epoch, value
        self.state = {
            name: each.detach().to("cpu", copy=True) for name, each in model.state_dict().items()
        }
        return True

    def stale(self, epoch: int) -> int:
        """Return the number of epochs since the best one."""
        return epoch - self.epoch
