"""The membership audit: of the model as it is, and of its recipe on coins.

Axes: N items, S shadow heads.
"""

import logging
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from pipeline.compute.device import Runtime
from pipeline.compute.engine import MachineParams, progress
from pipeline.crossval.folds import groups_together
from pipeline.ground.errors import DataError
from pipeline.ground.seeds import numpy_generator, pick
from pipeline.judge.answers import Subject
from pipeline.membership.coins import halve
from pipeline.membership.likelihood import of_served
from pipeline.membership.params import AuditParams
from pipeline.membership.rates import Curve, auc, judge, roc
from pipeline.membership.shadows import Shadows, train_shadows
from pipeline.model.head import Head
from pipeline.train.examples import Targets, find_targets
from pipeline.train.inputs import Parts
from pipeline.train.plan import Plan

log = logging.getLogger(__name__)

_CONTROLS = 16
"""Shadow heads that are audited themselves; more say no more."""

_UNEVEN = 0.05
"""From here on, train and test differ by themselves: a distance of an area from 1/2."""

_FEWEST = 10
"""Items of test below which nothing can be said."""


@dataclass(frozen=True)
class Setting:
    """What is audited, and with what.

    Attributes:
        plan: What the model was trained by.
        parts: What earlier stages wrote; pooled features among them.
        params: How much is asked.
        runtime: Threads and device.
        machine: Progress.
        alike: Near-duplicates, which are in or out together.
    """

    plan: Plan
    parts: Parts
    params: AuditParams
    runtime: Runtime
    machine: MachineParams
    alike: pd.DataFrame | None

    @property
    def seed(self) -> int:
        """Of all streams."""
        return self.plan.recipe.seed


@dataclass(frozen=True)
class References:
    """What does not depend on the model: how hard each item is."""

    targets: Targets
    targets_N: Tensor
    shadows: Shadows


@dataclass(frozen=True)
class Audited:
    """What was found of a model."""

    report: dict[str, Any]
    curve: Curve
    table: pd.DataFrame
    """Members that were asked for, the most exposed first: row (of the store), score, likelihood
    under the model, likelihood under heads that did not see the item, share of others whose score
    is as high."""


def train_references(setting: Setting) -> References:
    """Train the shadow heads, each on a random half of all items: groups and look-alikes whole.

    Raises:
        ParamsError: There are no pooled features.
        DataError: The labels do not fit the task.
    """
    store, seed = setting.parts.store, setting.seed
    rows = np.arange(len(store))
    pooled = setting.parts.features.require_pooled(by="the stage `privacy`")
    targets = find_targets(setting.plan.task, store, rows)
    targets_N = targets.encode(store.index["label"])
    features_ND = torch.from_numpy(pooled[rows])
    head = Head(features_ND.shape[1], targets.outputs, dropout=0.0)
    head.fit_scaling(features_ND)
    device, heads = setting.runtime.device, setting.params.heads
    units_N = groups_together(store.index, setting.alike)
    shadows = train_shadows(
        head.scale(features_ND).to(device),
        targets_N.to(device),
        halve(units_N, heads, numpy_generator(seed, "privacy", "halves")),
        outputs=targets.outputs,
        params=setting.params,
        generator=numpy_generator(seed, "privacy", "order"),
    )
    log.info("%d shadow heads, each on half of %d items", heads, len(store))
    return References(targets, targets_N, shadows)


def audit_model(setting: Setting, known: References, subject: Subject) -> Audited:
    """Compare what a model says of train with what it says of test, which it never saw.

    Raises:
        DataError: There are too few items of test.
    """
    store, params = setting.parts.store, setting.params
    others, every = store.rows("test"), store.rows("train")
    if min(len(others), len(every)) < _FEWEST:
        raise DataError(
            store.folder,
            f"needs {_FEWEST} items of train and of test to tell them apart",
            field="split",
            got={"train": len(every), "test": len(others)},
        )
    ids = list(store.index["id"].iloc[every])
    members = every[pick(ids, params.members, setting.seed, "privacy members")]
    own = of_served(_ask(setting, subject, members), known.targets, known.targets_N[members])
    theirs = of_served(subject.answers.served, known.targets, known.targets_N[others])
    scores, rivals = known.shadows.scores(own, members), known.shadows.scores(theirs, others)
    below = np.searchsorted(np.sort(rivals), scores, "left")
    table = pd.DataFrame(
        {
            "row": members,
            "score": scores,
            "own": np.exp(own),
            "others": known.shadows.expected_outside(members),
            "as_high": 1.0 - below / len(rivals),
        }
    ).sort_values(["score", "row"], ascending=[False, True], ignore_index=True)
    report = judge(scores, rivals) | {"control": _control(known.shadows, every, others)}
    return Audited(report, roc(scores, rivals), table)


def _ask(setting: Setting, subject: Subject, rows: np.ndarray) -> np.ndarray:
    """Return what the model answers, as it serves it: float64 [rows, K]."""
    size, predict = subject.predictor.chunk, subject.predictor.predict
    chunks = [rows[start : start + size] for start in range(0, len(rows), size)]
    shown = progress(chunks, setting.machine, total=len(chunks), title="privacy", unit="batches")
    return np.concatenate([predict(setting.parts.store.read(chunk)) for chunk in shown])


def _control(shadows: Shadows, train: np.ndarray, test: np.ndarray) -> dict[str, Any]:
    """Ask the same of heads that saw half of train and half of test: they must not tell them apart.

    Where they do, the splits differ by themselves (other times, places, devices), and so much of
    the model's figures is no sign of membership.
    """
    heads = range(min(_CONTROLS, len(shadows.fits_SN)))
    areas = []
    for head in heads:
        rest, fits = shadows.without(head), shadows.fits_SN[head]
        areas.append(auc(*(rest.scores(fits[rows], rows) for rows in (train, test)))[0])
    area = float(np.mean(areas))
    return {"auc": round(area, 6), "even": abs(area - 0.5) < _UNEVEN}
