"""Cross-validation on cached features: every fold trains, chooses its epoch, and is scored once.

A finished fold is kept beside the pipeline's outputs, so that a run that was killed does not repeat
it; when all outputs are written, these files are removed.

Axes: N = items, K = outputs.
"""

import logging
import math
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from pipeline.compute.device import Runtime
from pipeline.compute.engine import MachineParams, progress
from pipeline.crossval.folds import Fold, split_folds
from pipeline.crossval.params import CrossvalParams
from pipeline.crossval.plots import draw_folds
from pipeline.ground.errors import IntegrityError
from pipeline.ground.files import read_json, replacing_folder, write_json, write_rows
from pipeline.ground.tables import write_table
from pipeline.judge.gains import beside, doubt
from pipeline.judge.metrics import main, shown
from pipeline.judge.paired import sign
from pipeline.judge.params import EvaluateParams
from pipeline.judge.resampling import Bootstrap
from pipeline.judge.tasks import JUDGES, Judge, judge_ignorant, judge_items, judge_points
from pipeline.manifest.manifest import group_numbers
from pipeline.modality.baseline import baseline
from pipeline.modality.types.protocols import Known
from pipeline.train.checkpoint import Checkpoints
from pipeline.train.examples import Targets, find_targets
from pipeline.train.inputs import Parts
from pipeline.train.plan import Plan
from pipeline.train.trainer import open_training

log = logging.getLogger(__name__)

_Z = 0.975
"""Quantile of a two-sided interval of 95 %."""


@dataclass(frozen=True)
class Scored:
    """A fold that is done."""

    fold: Fold
    outputs: np.ndarray
    """Of the held-out items, before the temperature: float32 [N, K]."""

    served: np.ndarray
    """Of the held-out items, float64: probabilities [N, K], or values [N, 1]."""

    scores: dict[str, float]
    beside: dict[str, float]
    """Likewise of a plain model without transfer; empty where the modality has none."""

    epoch: int
    """The best one."""

    temperature: float
    history: list[dict[str, float]]


Far = Callable[[Sequence[int]], Iterator[Scored]]
"""Given the numbers of folds, from 0."""


@dataclass(frozen=True)
class Setting:
    """What all folds have in common.

    Attributes:
        plan: What to train; every fold starts from the same weights.
        parts: Opened once.
        crossval: How items are dealt out.
        evaluate: How a fold is judged.
        runtime: Device and precision.
        alike: Near-duplicates, which no fold separates; see `split_folds`.
    """

    plan: Plan
    parts: Parts
    crossval: CrossvalParams
    evaluate: EvaluateParams
    runtime: Runtime
    alike: pd.DataFrame | None = None

    @property
    def targets(self) -> Targets:
        """Of the first fold; classes are the same for all."""
        store = self.parts.store
        return find_targets(self.plan.task, store, np.arange(len(store)))

    @property
    def judge(self) -> Judge:
        """How the task's answers are judged."""
        return JUDGES[self.plan.task]

    def folds(self) -> list[Fold]:
        """Deal the items out; see `split_folds`."""
        return split_folds(
            self.parts.store.index, self.crossval, task=self.plan.task, alike=self.alike
        )


def run_folds(
    setting: Setting, *, machine: MachineParams, state: Path, far: Far | None = None
) -> Iterator[Scored]:
    """Train and score every fold that is not done yet; give all, in order.

    Args:
        setting: What the folds have in common.
        machine: Progress.
        state: Folder for finished folds and checkpoints, by the key of the whole.
        far: Trains folds on other machines; None: they are trained here.
    """
    folds = setting.folds()
    known = [_restore(setting, fold, _kept(state, fold)) for fold in folds]
    missing = [number for number, each in enumerate(known) if each is None]
    fresh = far(missing) if far else (train_fold(setting, folds[each], state) for each in missing)
    with progress(folds, machine, total=len(folds), title="crossval", unit="folds") as watched:
        for fold, restored in zip(watched, known, strict=True):
            scored = restored or next(fresh)
            clear(state / fold.name)
            log.info(
                "%s of %d: %s, epoch %d", fold.name, len(folds), _main(scored.scores), scored.epoch
            )
            yield scored


def write(
    setting: Setting,
    scored: Sequence[Scored],
    *,
    metrics: Path,
    predictions: Path,
    history: Path,
    plots: Path,
) -> None:
    """Write what all folds gave together."""
    found = summarize_folds(setting, scored)
    rows = _history(scored)
    write_rows(history, rows, columns=list(rows[0]))
    write_table(predictions, _predictions(setting, scored))
    with replacing_folder(plots) as folder:
        draw_folds(folder, found, rows)
    write_json(metrics, found)
    log.info(summary(found))
    if warning := doubt({**found["mean"], **found}):
        log.warning(warning)


def clear(state: Path) -> None:
    """Remove what was kept for a restart."""
    if state.exists():
        shutil.rmtree(state)


def train_fold(setting: Setting, fold: Fold, state: Path) -> Scored:
    """Train and score a fold, and keep what it gave; its checkpoints are left to the caller."""
    training = open_training(setting.plan, setting.parts, setting.runtime, rows=fold.rows)
    checkpoints = Checkpoints(state / fold.name, training.identity())
    training.resume(checkpoints)
    for _ in training.run(checkpoints):
        pass
    trained = training.finish()
    outputs = trained.outputs(fold.held_out)
    served = training.targets.serve(outputs, trained.temperature)
    scores = _scores(setting, fold, outputs, served)
    history = [{"epoch": each.epoch, **each.values()} for each in training.reports]
    plain = _beside(setting, fold)
    scored = Scored(
        fold, outputs, served, scores, plain, trained.epoch, trained.temperature, history
    )
    write_json(_kept(state, fold), _record(setting, scored))
    return scored


def _truths(setting: Setting, rows: np.ndarray) -> np.ndarray:
    """Return class numbers (int64), or values (float64)."""
    labels = setting.parts.store.index["label"].iloc[rows]
    return setting.judge.truths(labels, setting.targets.classes)


def _scores(
    setting: Setting, fold: Fold, outputs: np.ndarray, served: np.ndarray
) -> dict[str, float]:
    """Judge a fold's held-out items by the metrics of `evaluate`."""
    truth, bins = _truths(setting, fold.held_out), setting.evaluate.ece_bins
    scores = {
        **judge_points(setting.plan.task, served, truth, ece_bins=bins),
        **setting.judge.uncalibrated(outputs, truth, bins),
    }
    return dict(sorted(scores.items()))


def _baseline(setting: Setting, fold: Fold) -> dict[str, float]:
    """Judge a model that knows only the class shares, or the mean, of the fold's training part."""
    return judge_ignorant(
        setting.plan.task,
        _truths(setting, fold.rows.train),
        _truths(setting, fold.held_out),
        setting.targets.classes,
        ece_bins=setting.evaluate.ece_bins,
    )


def _beside(setting: Setting, fold: Fold) -> dict[str, float]:
    """Judge the plain model of the modality, fitted to the fold's training part."""
    store = setting.parts.store
    plain = baseline(store.modality)
    if plain is None:
        return {}
    known = Known(fold.rows.train, _truths(setting, fold.rows.train))
    classes, seed = len(setting.targets.classes), setting.evaluate.seed
    answers = plain.answers(store, known, fold.held_out, classes=classes, seed=seed)
    truth, bins = _truths(setting, fold.held_out), setting.evaluate.ece_bins
    return judge_points(setting.plan.task, answers, truth, ece_bins=bins)


def summarize_folds(setting: Setting, scored: Sequence[Scored]) -> dict[str, Any]:
    """Return what `metrics.json` holds: mean, deviation and interval of each metric.

    The folds share training items, so their spread alone says too little: the interval is that of
    the corrected resampled t test (Nadeau and Bengio 2003), mean +- t * s * sqrt(1/J + n2/n1), with
    J trainings, n2 held-out and n1 other items. Gains over the plain model of the modality, on the
    same items of each fold, have one of the same kind. Of one repeat the predictions of all folds
    together are judged too, with the bootstrap over groups that `evaluate` takes.
    """
    params = setting.crossval
    names = _common([each.scores for each in scored])
    baselines = [_baseline(setting, each.fold) for each in scored]
    found: dict[str, Any] = {
        "folds": params.folds,
        "repeats": params.repeats,
        "items": params.items,
        "n": int(sum(len(each.fold.held_out) for each in scored) / params.repeats),
        "mean": {},
        "deviation": {},
        "ci95": {},
        "baseline": {
            name: float(np.mean([each[name] for each in baselines])) for name in _common(baselines)
        },
        "fold": {each.fold.name: each.scores for each in scored},
    }
    for name in names:
        values = np.array([each.scores[name] for each in scored])
        found["mean"][name] = float(values.mean())
        found["deviation"][name] = float(values.std(ddof=1))
        found["ci95"][name] = _interval(values, params.folds)
    if plain := baseline(setting.parts.store.modality):
        found["beside"] = {"name": plain.name, **_summarize_beside(scored, params.folds)}
    if params.repeats == 1:
        found["out_of_fold"] = _judge_together(setting, scored)
    if setting.parts.normalization.mode == "dataset":
        found["note"] = (
            "the normalization was fitted on the train split of the main run, which has items that "
            "folds held out"
        )
    return found


def _summarize_beside(scored: Sequence[Scored], folds: int) -> dict[str, Any]:
    """Return the mean of each metric of the plain model, and the gains over it, fold by fold."""
    names = _common([each.beside for each in scored])
    found: dict[str, Any] = {
        name: float(np.mean([each.beside[name] for each in scored])) for name in names
    }
    found["gain"] = {}
    for name in shown(set(names) & set(_common([each.scores for each in scored])), place=1):
        gains = np.array([sign(name) * (each.scores[name] - each.beside[name]) for each in scored])
        found["gain"][name] = {"value": float(gains.mean()), **_interval(gains, folds)}
    return found


def _interval(values: np.ndarray, folds: int) -> dict[str, float]:
    """Return the ends of the interval of the mean of what all folds gave."""
    mean, deviation = float(values.mean()), float(values.std(ddof=1))
    half = float(
        stats.t.ppf(_Z, len(values) - 1) * deviation * math.sqrt(1 / len(values) + 1 / (folds - 1))
    )
    return {"low": mean - half, "high": mean + half}


def _common(scores: Sequence[Mapping[str, float]]) -> list[str]:
    """Return the metrics that are defined on every fold."""
    return [name for name in scores[0] if all(name in each for each in scores)]


def _judge_together(setting: Setting, scored: Sequence[Scored]) -> dict[str, Any]:
    rows = np.concatenate([each.fold.held_out for each in scored])
    served = np.concatenate([each.served for each in scored])
    truth, params = _truths(setting, rows), setting.evaluate
    index = setting.parts.store.index.iloc[rows].reset_index(drop=True)
    bootstrap = Bootstrap(params.bootstrap, params.seed, group_numbers(index))
    task, classes = setting.plan.task, setting.targets.classes
    found = judge_items(task, served, truth, classes, bootstrap=bootstrap, ece_bins=params.ece_bins)
    if not classes:
        found["baseline"] = judge_ignorant(task, truth, truth, classes, ece_bins=params.ece_bins)
    outputs = np.concatenate([each.outputs for each in scored])
    return found | setting.judge.uncalibrated(outputs, truth, params.ece_bins)


def _predictions(setting: Setting, scored: Sequence[Scored]) -> pd.DataFrame:
    """Return the out-of-fold predictions: a row for each item and repeat, in the store's order."""
    tables = []
    for each in scored:
        index = setting.parts.store.index.iloc[each.fold.held_out].reset_index(drop=True)
        table = setting.judge.table(index, each.served, setting.targets.classes)
        table.insert(3, "repeat", each.fold.repeat)
        table.insert(4, "fold", each.fold.fold)
        tables.append(table.assign(row=each.fold.held_out))
    whole = pd.concat(tables, ignore_index=True).sort_values(["repeat", "row"], kind="stable")
    return whole.drop(columns="row").reset_index(drop=True)


def _history(scored: Sequence[Scored]) -> list[dict[str, Any]]:
    """Return the curves of all folds, a row for each epoch."""
    return [
        {"repeat": each.fold.repeat, "fold": each.fold.fold, **row}
        for each in scored
        for row in each.history
    ]


def summary(found: dict[str, Any]) -> str:
    """Return one line: the main metric's mean and interval, that of all, and the plain model's."""
    name = main(found["mean"])
    interval = found["ci95"][name]
    text = (
        f"{found['folds']} folds, {found['n']} items: {name} {found['mean'][name]:.4f} "
        f"+- {found['deviation'][name]:.4f} (95 %: {interval['low']:.4f} to {interval['high']:.4f})"
    )
    together = found.get("out_of_fold")
    parts = (f"out of fold {together[name]:.4f}" if together else "", beside(found, name))
    return "; ".join([text, *filter(None, parts)])


def _main(scores: dict[str, float]) -> str:
    name = main(scores)
    return f"{name} {scores[name]:.4f}"


def _kept(state: Path, fold: Fold) -> Path:
    return state / f"{fold.name}.json"


def _record(setting: Setting, scored: Scored) -> dict[str, Any]:
    return {
        "fingerprint": setting.runtime.fingerprint(),
        "outputs": scored.outputs.tolist(),
        "scores": scored.scores,
        "beside": scored.beside,
        "epoch": scored.epoch,
        "temperature": scored.temperature,
        "history": [list(row.items()) for row in scored.history],  # JSON would sort the columns
    }


def _restore(setting: Setting, fold: Fold, path: Path) -> Scored | None:
    """Return a fold that is done; None, and no file, where it must be trained (again)."""
    if not path.exists():
        return None
    try:
        record = read_json(path)
    except IntegrityError as error:
        log.warning("a finished fold is damaged, so it is trained again: %s", error)
        path.unlink()
        return None
    if record["fingerprint"] != setting.runtime.fingerprint():
        log.warning(
            "%s comes from another device, thread count or torch build; it is trained again",
            fold.name,
        )
        path.unlink()
        return None
    targets = find_targets(setting.plan.task, setting.parts.store, fold.rows.train)
    outputs = np.array(record["outputs"], dtype=np.float32)
    return Scored(
        fold,
        outputs,
        targets.serve(outputs, record["temperature"]),
        record["scores"],
        record["beside"],
        record["epoch"],
        record["temperature"],
        [dict(row) for row in record["history"]],
    )
