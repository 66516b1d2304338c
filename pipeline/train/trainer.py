"""A whole training: from the files that earlier stages wrote to the three that this one writes.

Axes: N items of a split, K outputs, D features.
"""

import copy
import logging
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor, nn

from pipeline.compute.device import Runtime
from pipeline.ground.errors import ParamsError
from pipeline.ground.files import write_json, write_rows
from pipeline.judge.temperature import fit_temperature
from pipeline.manifest.manifest import group_numbers
from pipeline.model.bundle import VERSION, Bundle, Predictor, save_model
from pipeline.model.head import Head
from pipeline.model.network import Network, Upper
from pipeline.train.best_epoch import Best, copy_state
from pipeline.train.checkpoint import Checkpoints
from pipeline.train.examples import Split, Targets, find_split, find_targets
from pipeline.train.inputs import Parts, Rows
from pipeline.train.loop import EpochReport, Examples, fit, predict, validate
from pipeline.train.params import TrainParams
from pipeline.train.plan import Plan
from pipeline.train.private.mechanism import Mechanism, find_mechanism
from pipeline.train.private.rules import check_mode
from pipeline.train.ranks import ALONE, Ranks
from pipeline.train.recipe.ema import Average
from pipeline.train.recipe.losses import Loss, build_loss
from pipeline.train.recipe.optim import build_optimizer
from pipeline.train.recipe_rules import check_plan, prediction_views
from pipeline.train.start.blend import SHARES, Candidate, choose, mix
from pipeline.train.start.start import Start, take_probe
from pipeline.train.step import PLAIN, Learner, count_batches
from pipeline.train.strategies import build_model, trained_groups, whole_network

log = logging.getLogger(__name__)

_PREDICT_ROWS = 256
_COLUMNS = ("epoch", "lr", "train_loss")
"""Of the curve, before those of validation; a private training leaves its loss empty."""


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
    start: Start | None = None
    """None where the head starts from zero."""

    mechanism: Mechanism | None = None
    """None where no privacy is promised."""

    reports: list[EpochReport] = field(default_factory=list)

    @property
    def views(self) -> tuple[int, ...]:
        """Those of an item that a prediction is averaged over."""
        return prediction_views(self.plan.augment, self.plan.recipe.train.test_views)

    def resume(self, checkpoints: Checkpoints) -> int:
        """Go on from the last good checkpoint, if there is one; give the number of epochs done."""
        self.reports = checkpoints.resume(self.learner, self.best)
        return len(self.reports)

    def watch(self, on_items: Callable[[int], object]) -> None:
        """Have a function told of every batch that is trained on, by its number of items.

        Those that other ranks read are reckoned: about as many as this one does.
        """
        read, ranks = self.train.read, self.learner.ranks.count

        def told(positions: np.ndarray, epoch: int) -> Tensor:
            on_items(len(positions) * ranks)
            return read(positions, epoch)

        self.train = replace(self.train, read=told)

    def run(self, checkpoints: Checkpoints | None) -> Iterator[EpochReport]:
        """Train to the end, or until patience is over; report every epoch.

        The checkpoint of an epoch is saved when the next report is asked for, so that whoever notes
        reports down has noted all that a resumed training will not give again. Without
        checkpoints, a training that is killed starts anew. A private one saves an epoch before
        it is told: what others know is never trained again with other noise.
        """
        recipe, private = self.plan.recipe, self.mechanism
        done, method = len(self.reports), private.method() if private else PLAIN
        reports = fit(self.learner, self.train, self.val, recipe=recipe, done=done, method=method)
        while not self.is_over():
            report = next(reports)
            self.reports.append(report)
            self.best.offer(report, self.learner.kept)
            if private and checkpoints is not None:
                checkpoints.save(self.learner, self.best, self.reports)
            yield report
            if checkpoints is not None and not private:
                checkpoints.save(self.learner, self.best, self.reports)

    def is_over(self) -> bool:
        """Return whether all epochs are done, or the best one is too long ago."""
        done, recipe = len(self.reports), self.plan.recipe
        return done >= recipe.epochs or 0 < recipe.train.patience <= self.best.stale(done)

    def finish(self) -> "Trained":
        """Go back to the best epoch, or between the probe and it; fit the temperature."""
        if self.start is None:
            self._load(self.best.state)
            trained = Trained(self, epoch=self.best.epoch)
        else:
            trained = self._blend(self.start)
        if self.targets.task == "regression" or self.mechanism is not None:
            return trained
        fitted = fit_temperature(trained.outputs(self.rows.val), self.val.targets_N.cpu().numpy())
        note = f" ({fitted.note})" if fitted.note else ""
        log.info("kept epoch %d; temperature %.4f%s", trained.epoch, fitted.value, note)
        return replace(trained, temperature=fitted.value)

    def _blend(self, start: Start) -> "Trained":
        """Take the mean of the probe and a trained state that does best on validation.

        The trained states are those of the best epoch and of the last one.
        """
        ends = {len(self.reports): copy_state(self.learner.kept), self.best.epoch: self.best.state}

        def judge(epoch: int, share: float) -> Candidate:
            self._load(mix(start.state, ends.get(epoch, start.state), share))
            return Candidate(epoch, share, *self._judge())

        shares = [share for share in SHARES if share]
        tried = []
        for epoch, share in [(0, 0.0), *product(sorted(ends), shares)]:
            tried.append(judge(epoch, share))
            log.info("tried: %s", tried[-1])
        found = choose(tried)
        self._load(mix(start.state, ends.get(found.epoch, start.state), found.share))
        log.info("kept: %s", found)
        return Trained(self, epoch=found.epoch, share=found.share, candidates=tuple(tried))

    def _judge(self) -> tuple[float, Mapping[str, float]]:
        """Return the loss on validation of what is kept, at its own temperature, and the metrics.

        A model that is merely too sure of itself is so no more when its temperature is fitted.
        """
        outputs_NK = predict(self.learner, self.val)
        if self.targets.task == "classification":
            fitted = fit_temperature(outputs_NK.numpy(), self.val.targets_N.cpu().numpy())
            outputs_NK = outputs_NK / fitted.value
        return validate(self.learner, self.val, outputs_NK)

    def _load(self, state: Mapping[str, Tensor]) -> None:
        self.learner.kept.load_state_dict(state)
        self.learner.model.load_state_dict(state)

    def identity(self) -> dict[str, Any]:
        """Return what a checkpoint must come from to be gone on from: JSON."""
        parts = self.plan.recipe.train.parts
        return {"fingerprint": self.runtime.fingerprint(), "parts": parts}

    def info(self) -> dict[str, Any]:
        """Return what readers of the journal may want to know: JSON."""
        return {
            "task": self.plan.task,
            "classes": list(self.targets.classes),
            "epochs": self.plan.recipe.epochs,
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
        training: Its model is what is kept.
        epoch: Of what is kept; 0 is the probe.
        share: Of that epoch in what is kept, 0..1; the rest is the probe.
        candidates: Means of the probe and an epoch that were tried.
        temperature: Fitted on validation; 1 for regression.
    """

    training: Training
    epoch: int
    share: float = 1.0
    candidates: tuple[Candidate, ...] = ()
    temperature: float = 1.0

    def outputs(self, rows: np.ndarray) -> np.ndarray:
        """Return the outputs for rows of the store, before the temperature.

        From cached features where a prediction is of the item as it is; else from rows.

        Returns:
            float32 [N, K].

        Raises:
            DataError: There are no rows.
        """
        own, strategy = self.training, self.training.plan.recipe.train.strategy
        if len(own.views) == 1 and strategy in ("head", "top"):
            outputs = predict(own.learner, own.examples(own.split("held-out", rows)))
            values: np.ndarray = outputs.numpy()
            return values
        network = copy.deepcopy(own.network())
        predictor = Predictor(network, self.bundle(), runtime=own.runtime)
        chunks = np.array_split(rows, math.ceil(len(rows) / _PREDICT_ROWS))

        def of_chunk(chunk: np.ndarray) -> np.ndarray:
            return predictor.outputs(own.parts.store.read(chunk))

        return np.concatenate(own.learner.ranks.spread(chunks, of_chunk))

    def write(self, model: Path, *, bundle: Path, history: Path, kept: Path) -> None:
        """Write the model, what prediction needs beside it, the curve, and what was chosen."""
        facts = self.bundle()
        facts.save(bundle)
        write_json(kept, self.kept())
        save_model(model, self.training.network(), facts)
        rows = [{"epoch": each.epoch, **each.values()} for each in self.training.reports]
        write_rows(history, rows, columns=list(dict.fromkeys([*_COLUMNS, *rows[0]])))

    def kept(self) -> dict[str, Any]:
        """Return what was chosen, and by which numbers: JSON."""
        own = self.training
        found: dict[str, Any] = {
            "strategy": own.plan.recipe.train.strategy,
            "epochs": own.plan.recipe.epochs,
            "items": {"train": len(own.train), "val": len(own.val)},
            "kept": {"epoch": self.epoch, "share": self.share},
        }
        if own.start is not None:
            found["probe"] = own.start.facts
            found["candidates"] = [
                {
                    "epoch": each.epoch,
                    "share": each.share,
                    "val_loss": each.loss,
                    **{f"val_{name}": value for name, value in each.metrics.items()},
                }
                for each in self.candidates
            ]
        return found

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
            views=own.views,
            privacy=own.mechanism.facts() if own.mechanism else None,
        )


def open_training(
    plan: Plan, parts: Parts, runtime: Runtime, *, rows: Rows | None = None, ranks: Ranks = ALONE
) -> Training:
    """Check the params against each other and the data, and make ready.

    Args:
        plan: What to train, and how.
        parts: Not changed, so several trainings may start from the same ones.
        runtime: Device and precision.
        rows: What to train and to validate on; None: the splits `train` and `val` of the store.
        ranks: Who trains together; each of them calls this.

    Raises:
        ParamsError: Loss or monitor do not fit the task, features are missing for the strategy, or
            `train.batch_size` exceeds the train split, or `train.parts` the items of a step.
        DataError: A split is empty, or the labels do not fit the task.
    """
    check_plan(plan)
    parts = replace(parts, backbone=copy.deepcopy(parts.backbone))
    rows = rows or Rows(parts.store.rows("train"), parts.store.rows("val"))
    views = len(plan.augment.views())
    plan = replace(plan, recipe=plan.recipe.settle(len(rows.train), views))
    targets = find_targets(plan.task, parts.store, rows.train)
    split = partial(
        find_split,
        parts.store,
        targets,
        device=runtime.device,
        sample_weights=plan.loss.sample_weights,
    )
    train, val = split("train", rows.train), split("val", rows.val)
    _check_steps(plan.recipe.train, len(train.rows_N))
    mechanism = _mechanism(plan, parts, rows.train)
    loss = build_loss(
        plan.loss, train.targets_N, weights_N=train.weights_N, classes=len(targets.classes)
    )
    measure = mechanism.mean if mechanism else None
    model, head, examples = build_model(plan, parts, targets, train, measure=measure)
    parts.backbone.speed_up()
    is_probe = plan.recipe.train.start == "probe"
    start = take_probe(plan, parts, train, model, head, loss) if is_probe else None
    model.to(runtime.device)
    groups = trained_groups(plan, parts, head)
    learner = replace(
        _learner(plan, model, groups, loss=loss, targets=targets, runtime=runtime), ranks=ranks
    )
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
        best=Best(plan.recipe.train.monitor, last=mechanism is not None),
        start=start,
        mechanism=mechanism,
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


def _mechanism(plan: Plan, parts: Parts, rows_N: np.ndarray) -> Mechanism | None:
    """Return how a training of some rows keeps to its budget; None where it has none."""
    params = plan.recipe.train.privacy
    if params is None:
        return None
    check_mode(parts.normalization.mode, parts.record.source)
    index = parts.store.index.iloc[rows_N]
    units_N = group_numbers(index) if params.unit == "group" else np.arange(len(rows_N))
    return find_mechanism(params, plan.recipe, units_N)


def _check_steps(train: TrainParams, items: int) -> None:
    """Check that no step, and no part of one, is empty."""
    if train.batch_size != "full" and train.batch_size > items:
        raise ParamsError(
            "params.yaml",
            f"must be at most {items}, the items of the train split",
            field="train.batch_size",
            got=train.batch_size,
            remedy="lower it, or set it to `full`",
        )
    smallest = items // count_batches(items, train.batch_size)
    if train.parts > smallest:
        raise ParamsError(
            "params.yaml",
            f"must be at most {smallest}, the items of the smallest step",
            field="train.parts",
            got=train.parts,
            remedy="lower it, or raise train.batch_size",
        )
