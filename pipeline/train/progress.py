"""What a person sees of a training: a bar on a terminal, a line for each epoch elsewhere."""

import logging
import time
from collections.abc import Iterator

from pipeline.compute.engine import MachineParams, progress
from pipeline.judge.metrics import main
from pipeline.train.checkpoint import Checkpoints
from pipeline.train.loop import EpochReport
from pipeline.train.trainer import Training

log = logging.getLogger(__name__)


def show(
    training: Training, checkpoints: Checkpoints, machine: MachineParams
) -> Iterator[EpochReport]:
    """Run a training and show how it goes: losses, the monitored number, items/s."""
    epochs, items = training.plan.recipe.epochs, len(training.train)
    total = epochs * items
    with progress(range(total), machine, total=total, title="train", unit="items") as bar:
        bar.initial = bar.n = len(training.reports) * items
        training.watch(bar.update)
        start = time.monotonic()
        for report in training.run(checkpoints):
            bar.n = report.epoch * items
            bar.set_postfix_str(_numbers(training, report))
            if machine.shows_lines():
                rate = report.items / max(time.monotonic() - start, 1e-9)
                numbers = _numbers(training, report)
                log.info("epoch %d of %d: %s, %.0f items/s", report.epoch, epochs, numbers, rate)
            yield report
            start = time.monotonic()


def _numbers(training: Training, report: EpochReport) -> str:
    monitor = training.best.monitor
    parts = [] if report.train_loss is None else [f"loss {report.train_loss:.4f}"]
    parts.append(f"val loss {report.val_loss:.4f}")
    name = main(report.metrics)
    names = [name] if monitor in ("loss", name) else [name, monitor]
    parts += [f"val {each} {report.metrics[each]:.4f}" for each in names]
    is_best = training.best.epoch == report.epoch and not training.best.last
    return ", ".join(parts) + (" (best)" if is_best else "")
