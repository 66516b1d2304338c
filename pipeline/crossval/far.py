"""Folds on the machines of a cluster: each opens what it needs, and finds the same folds."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

from pipeline.compute.device import open_runtime
from pipeline.compute.engine import MachineParams
from pipeline.crossval.folds import Fold
from pipeline.crossval.params import CrossvalParams
from pipeline.crossval.run import Far, Scored, Setting, train_fold
from pipeline.ground.tables import read_table
from pipeline.judge.params import EvaluateParams
from pipeline.train.far import Fits, map_fits


@dataclass(frozen=True)
class FoldFits:
    """What all folds have in common; small, and can be sent to another machine.

    Attributes:
        fits: What is trained, from what.
        crossval: How items are dealt out.
        evaluate: How a fold is judged.
        near_duplicates: The file that names them.
        state: Folder for finished folds and checkpoints, which all machines see.
    """

    fits: Fits
    crossval: CrossvalParams
    evaluate: EvaluateParams
    near_duplicates: Path
    state: Path

    def open(self) -> Setting:
        """Open the files, and choose the device."""
        fits = self.fits
        return Setting(
            fits.plan,
            fits.open(),
            self.crossval,
            self.evaluate,
            open_runtime(fits.runtime),
            read_table(self.near_duplicates),
        )


def far_folds(work: FoldFits, machine: MachineParams) -> Far:
    """Return what trains folds on the machines of a cluster."""

    def far(numbers: Sequence[int]) -> Iterator[Scored]:
        return map_fits(partial(_run, work), numbers, work.fits, machine)

    return far


def _run(work: FoldFits, number: int) -> Scored:
    setting, folds = _opened(work)
    return train_fold(setting, folds[number], work.state)


@lru_cache(maxsize=1)
def _opened(work: FoldFits) -> tuple[Setting, list[Fold]]:
    setting = work.open()
    return setting, setting.folds()
