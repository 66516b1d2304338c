"""A whole training: from the files that earlier stages wrote to the three that this one writes.

Axes: N items of a split, K outputs, D features.
"""

import copy
import logging
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from torch import Tensor, nn

from pipeline.compute.device import Runtime
from pipeline.ground.errors import ParamsError
from pipeline.ground.files import write_rows
from pipeline.judge.temperature import fit_temperature
from pipeline.model.bundle import VERSION, Bundle, Predictor, save_model
from pipeline.model.head import Head
from pipeline.model.network import Network, Upper
from pipeline.train.best_epoch import Best
from pipeline.train.checkpoint import Checkpoints
from pipeline.train.examples import Split, Targets, find_split, find_targets
from pipeline.train.inputs import Parts, Rows
from pipeline.train.loop import EpochReport, Examples, fit, predict
from pipeline.train.plan import Plan
from pipeline.train.recipe.ema import Average
from pipeline.train.recipe.losses import Loss, build_loss
from pipeline.train.recipe.optim import build_optimizer
from pipeline.train.recipe_rules import check_plan, prediction_views
from pipeline.train.step import Learner
from pipeline.train.strategies import build_model, trained_groups, whole_network

log = logging.getLogger(__name__)

_PREDICT_ROWS = 256


@dataclass
class Training:
    """A training that is ready to start, or under way."""

    plan: Plan
    parts: Parts
    runtime: Runtime
    rows: Rows
    targets: Targets
    learner: Learner
    head: Head
    """Part of the learner's model, or the whole of it."""

    split: Callable[[str, np.ndarray], Split]
    """Give the items of some rows; the name stands in errors."""

    examples: Callable[[Split], Examples]
    """Give them as the model takes them."""

    train: Examples
    val: Examples
    best: Best
    reports: list[EpochReport] = field(default_factory=list)

    def resume(self, checkpoints: Checkpoints) -> int:
        """Go on from the last good checkpoint, if there is one; give the number of epochs done."""
        self.reports = checkpoints.resume(self.learner, self.best)
        return len(self.reports)

    def watch(self, on_items: Callable[[int], object]) -> None:
        """Have a function told of every batch that is trained on, by its number of items."""
        read = self.train.read

        def told(positions: np.ndarray, epoch: int) -> Tensor:
            on_items(len(positions))
            return read(positions, epoch)

        self.train = replace(self.train, read=told)

    def run(self, checkpoints: Checkpoints | None) -> Iterator[EpochReport]:
        """Train to the end, or until patience is over; report every epoch.

        The checkpoint of an epoch is saved when the next report is asked for, so that whoever notes
        reports down has noted all that a resumed training will not give again. Without
        checkpoints, a training that is killed starts anew.
        """
        recipe = self.plan.recipe
        reports = fit(self.learner, self.train, self.val, recipe=recipe, done=len(self.reports))
        while not self.is_over():
            report = next(reports)
            self.reports.append(report)
            self.best.offer(report, self.learner.kept)
            yield report
            if checkpoints is not None:
                checkpoints.save(self.learner, self.best, self.reports)

    def is_over(self) -> bool:
        """Return whether all epochs are done, or the best one is too long ago."""
        done, params = len(self.reports), self.plan.recipe.train
        return done >= params.epochs or 0 < params.patience <= self.best.stale(done)

    def finish(self) -> "Trained":
        """Go back to the best epoch, and fit the temperature on validation."""
        self.learner.kept.load_state_dict(self.best.state)
        self.learner.model.load_state_dict(self.best.state)
        trained = Trained(self)
        if self.targets.task == "regression":
            return trained
        fitted = fit_temperature(trained.outputs(self.rows.val), self.val.targets_N.cpu().numpy())
        note = f" ({fitted.note})" if fitted.note else ""
        log.info("best epoch %d; temperature %.4f%s", self.best.epoch, fitted.value, note)
        return replace(trained, temperature=fitted.value)

    def identity(self) -> dict[str, Any]:
        """Return what a checkpoint must come from to be gone on from: JSON."""
        return {"fingerprint": self.runtime.fingerprint()}

    def info(self) -> dict[str, Any]:
        """Return what readers of the journal may want to know: JSON."""
        return {
            "task": self.plan.task,
            "classes": list(self.targets.classes),
            "epochs": self.plan.recipe.train.epochs,
            "items": {"train": len(self.train), "val": len(self.val)},
            "parameters": sum(each.numel() for group in self.learner.groups for each in group),
            "fingerprint": self.runtime.fingerprint(),
        }

    def network(self) -> Network:
        """Return the whole model, as it is now."""
        model = self.learner.model
        if isinstance(model, Upper):
            return model.network
        return model if isinstance(model, Network) else whole_network(self.parts, self.head)


@dataclass(frozen=True)
class Trained:
    """A training at its best epoch.

    Attributes:
        training: Its model is that of the best epoch.
        temperature: Fitted on validation; 1 for regression.
    """

    training: Training
    temperature: float = 1.0

    def outputs(self, rows: np.ndarray) -> np.ndarray:
        """Return the outputs for rows of the store, before the temperature.

        From cached features where a prediction is of the item as it is; else from rows.

        Returns:
            float32 [N, K].

        Raises:
            DataError: There are no rows.
        """
        own, train = self.training, self.training.plan.recipe.train
        if train.test_views == 1 and train.strategy != "full":
            outputs = predict(own.learner, own.examples(own.split("held-out", rows)))
            values: np.ndarray = outputs.numpy()
            return values
        network = copy.deepcopy(own.network())
        predictor = Predictor(network, self.bundle(), runtime=own.runtime)
        chunks = np.array_split(rows, math.ceil(len(rows) / _PREDICT_ROWS))
        return np.concatenate([predictor.outputs(own.parts.store.read(each)) for each in chunks])

    def write(self, model: Path, *, bundle: Path, history: Path) -> None:
        """Write the model, what prediction needs beside it, and the curve."""
        self.bundle().save(bundle)
        save_model(model, self.training.network())
        rows = [{"epoch": each.epoch, **each.values()} for each in self.training.reports]
        write_rows(history, rows, columns=list(rows[0]))

    def bundle(self) -> Bundle:
        """Return what prediction needs beside the model."""
        own = self.training
        parts, targets, runtime = own.parts, own.targets, own.runtime
        return Bundle(
            version=VERSION,
            modality=parts.store.modality,
            task=targets.task,
            classes=targets.classes,
            target=own.plan.target,
            target_mean=targets.mean,
            target_std=targets.std,
            architecture=parts.record.architecture,
            pooling=parts.features.meta["pooling"],
            decode=parts.store.spec,
            normalization=parts.normalization,
            temperature=self.temperature,
            precision=runtime.precision,
            batch_size=parts.features.meta["batch_size"],
            threads=runtime.threads,
            fingerprint=runtime.fingerprint(),
            weights_sha256=parts.record.sha256,
            input_size=parts.record.expected.input_size,
            dropout=own.plan.recipe.train.dropout,
            views=prediction_views(own.plan.augment, own.plan.recipe.train.test_views),
        )


def open_training(
    plan: Plan, parts: Parts, runtime: Runtime, *, rows: Rows | None = None
) -> Training:
    """Check the params against each other and the data, and make ready.

    Args:
        plan: What to train, and how.
        parts: Not changed, so several trainings may start from the same ones.
        runtime: Device and precision.
        rows: What to train and to validate on; None: the splits `train` and `val` of the store.

    Raises:
        ParamsError: Loss or monitor do not fit the task, features are missing for the strategy, or
            `train.batch_size` exceeds the train split.
        DataError: A split is empty, or the labels do not fit the task.
    """
    check_plan(plan)
    parts = replace(parts, backbone=copy.deepcopy(parts.backbone))
    rows = rows or Rows(parts.store.rows("train"), parts.store.rows("val"))
    targets = find_targets(plan.task, parts.store, rows.train)
    split = partial(
        find_split,
        parts.store,
        targets,
        device=runtime.device,
        sample_weights=plan.loss.sample_weights,
    )
    train, val = split("train", rows.train), split("val", rows.val)
    _check_batch_size(plan.recipe.train.batch_size, len(train.rows_N))
    loss = build_loss(
        plan.loss, train.targets_N, weights_N=train.weights_N, classes=len(targets.classes)
    )
    model, head, examples = build_model(plan, parts, targets, train)
    parts.backbone.speed_up()
    if plan.recipe.train.start == "probe":
        _probe(plan, parts, targets, head, (train, val), loss)
    model.to(runtime.device)
    groups = trained_groups(plan, parts, head)
    learner = _learner(plan, model, groups, loss=loss, targets=targets, runtime=runtime)
    best = Best(plan.recipe.train.monitor)
    return Training(
        plan,
        parts,
        runtime,
        rows,
        targets,
        learner,
        head,
        split,
        examples,
        train=examples(train),
        val=examples(val),
        best=best,
    )


def _learner(
    plan: Plan,
    model: nn.Module,
    groups: list[list[nn.Parameter]],
    *,
    loss: Loss,
    targets: Targets,
    runtime: Runtime,
) -> Learner:
    """Return what learns: of the model these groups, and nothing else."""
    model.requires_grad_(requires_grad=False)
    for group in groups:
        for parameter in group:
            parameter.requires_grad_()
    ema = plan.recipe.train.ema
    average = Average(model, ema) if ema > 0 else None
    if runtime.compiled:
        model.compile()
    optimizer = build_optimizer(groups, plan.recipe.optim)
    return Learner(model, optimizer, loss, targets.score, runtime.autocast, groups, average)


def _probe(
    plan: Plan, parts: Parts, targets: Targets, head: Head, splits: tuple[Split, Split], loss: Loss
) -> None:
    """Bring the head to the best epoch of a training of it alone, on cached features.

    Source: linear probing, then fine-tuning (Kumar et al. 2022).
    """
    train = plan.recipe.train
    pooled = parts.features.require_pooled(by="train.start: probe")
    alone = train.model_copy(
        update={
            "strategy": "head",
            "start": "zero",
            "epochs": train.probe_epochs,
            "batch_norm": "stored",
            "unfreeze_epochs": 0,
            "ema": 0.0,
            "mixup": 0.0,
            "cutmix": 0.0,
        }
    )
    optim = plan.recipe.optim.model_copy(update={"lr": train.probe_lr, "layer_decay": 1.0})
    recipe = replace(plan.recipe, train=alone, optim=optim)
    head.to(splits[0].targets_N.device)
    learner = Learner(head, build_optimizer([list(head.parameters())], optim), loss, targets.score)
    best = Best(train.monitor)
    reports = fit(learner, *(each.of_features(pooled) for each in splits), recipe=recipe)
    for report in reports:
        best.offer(report, head)
    head.load_state_dict(best.state)
    log.info(
        "probe: epoch %d of %d is the best, its %s on validation is %.4f",
        best.epoch,
        train.probe_epochs,
        train.monitor,
        best.value,
    )


def _check_batch_size(batch_size: int | Literal["full"], items: int) -> None:
    if batch_size != "full" and batch_size > items:
        raise ParamsError(
            "params.yaml",
            f"must be at most {items}, the items of the train split",
            field="train.batch_size",
            got=batch_size,
            remedy="lower it, or set it to `full`",
        )
