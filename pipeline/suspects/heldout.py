"""What the cached features say of each item, by a head that was trained without it.

The head is one linear layer on pooled features: its training is convex and takes seconds, and it
knows nothing of the recipe under `train`, so that trying another recipe changes no suspect. All
kept items are judged, those of the test split too: a wrong label there makes every number wrong.

Axes: N = rows of the store, K = outputs.
"""

import logging
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd

from pipeline.compute.device import Runtime
from pipeline.compute.engine import MachineParams, progress
from pipeline.crossval.folds import Fold, split_folds
from pipeline.crossval.params import CrossvalParams
from pipeline.ground.params import Task
from pipeline.ground.seeds import derive
from pipeline.ground.tasks import KINDS
from pipeline.modality.types.params import AugmentSection
from pipeline.suspects.params import SuspectsParams
from pipeline.train.examples import Targets, find_targets
from pipeline.train.inputs import Parts
from pipeline.train.params import TrainParams
from pipeline.train.plan import Plan, Recipe
from pipeline.train.recipe.params import LossParams, ScheduleParams, optim_of_layer
from pipeline.train.trainer import open_training

log = logging.getLogger(__name__)

_BATCH_SIZE = 64
_DROPOUT = 0.2


@dataclass(frozen=True)
class Setting:
    """What is judged, and how.

    Attributes:
        task: What labels are.
        parts: What earlier stages wrote; pooled features among them.
        params: How items are judged.
        runtime: Threads and device.
        machine: Progress.
        alike: Near-duplicates, which are held out together: a copy would vouch for a wrong label.
    """

    task: Task
    parts: Parts
    params: SuspectsParams
    runtime: Runtime
    machine: MachineParams
    alike: pd.DataFrame | None = None


@dataclass(frozen=True)
class HeldOut:
    """Every item, as a model sees it that did not see its label."""

    targets: Targets
    served: np.ndarray
    """float64: calibrated probabilities [N, K], or values [N, 1]."""


class _Dealing(CrossvalParams):
    """How items are dealt out to the heads; errors name the section that the user wrote."""

    section: ClassVar[str] = "suspects"


def predict_held_out(setting: Setting) -> HeldOut:
    """Train a head for each fold, and have it predict what the fold held out.

    Whole groups are held out, and classes are balanced over the folds.

    Raises:
        ParamsError: There are no pooled features, or a class is too small for so many folds.
        DataError: The labels do not fit the task.
    """
    task, parts, store = setting.task, setting.parts, setting.parts.store
    parts.features.require_pooled(by="the stage `suspects`")
    targets = find_targets(task, store, np.arange(len(store)))
    folds = find_folds(setting)
    served = np.full((len(store), targets.outputs), np.nan)
    total = len(folds)
    with progress(folds, setting.machine, total=total, title="suspects", unit="heads") as watched:
        for fold in watched:
            plan = head_plan(task, setting.params, items=len(fold.rows.train))
            training = open_training(plan, parts, setting.runtime, rows=fold.rows)
            for _ in training.run(None):
                pass
            trained = training.finish()
            outputs = trained.outputs(fold.held_out)
            served[fold.held_out] = training.targets.serve(outputs, trained.temperature)
    return HeldOut(targets, served)


def find_folds(setting: Setting) -> list[Fold]:
    """Return the folds; see `split_folds`."""
    params = setting.params
    dealing = _Dealing(
        folds=params.folds, repeats=1, items="all", val_frac=params.val_frac, seed=params.seed
    )
    index = setting.parts.store.index
    return split_folds(index, dealing, task=setting.task, alike=setting.alike)


def head_plan(task: Task, params: SuspectsParams, *, items: int) -> Plan:
    """Return the training of one head.

    Args:
        task: What labels are.
        params: Its epochs and rate.
        items: That it is trained on; a batch is no larger.
    """
    train = TrainParams(
        strategy="head",
        start="zero",
        epochs=params.epochs,
        batch_size=min(_BATCH_SIZE, items),
        parts=1,
        dropout=_DROPOUT,
        batch_norm="stored",
        unfreeze_epochs=0,
        ema=0.0,
        mixup=0.0,
        cutmix=0.0,
        test_views=1,
        monitor="loss",
        patience=0,
        privacy=None,
    )
    optim = optim_of_layer(params.lr)
    # Weights of items are left out: one with weight 0 has a label that may be wrong, too.
    loss = LossParams(
        name=KINDS[task].loss, label_smoothing=0.0, class_weights="none", sample_weights=False
    )
    schedule = ScheduleParams(name="one_cycle", warmup_frac=0.3, final_frac=0.01)
    recipe = Recipe(train, optim, schedule, derive(params.seed, "suspects"))
    return Plan(task, "label", recipe, loss, AugmentSection())
