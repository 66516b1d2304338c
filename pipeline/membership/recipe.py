"""What the recipe of a project lets out: a head trained by it once, on items that coins chose.

Axes: M units (items, or groups), R rows.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.ground.seeds import numpy_generator
from pipeline.manifest.manifest import group_numbers
from pipeline.membership.audit import References, Setting
from pipeline.membership.coins import Flags, flip
from pipeline.membership.likelihood import of_served
from pipeline.membership.one_run import CONFIDENCE, choose_made, epsilon_bound, guess
from pipeline.membership.rates import Curve, judge, roc
from pipeline.membership.shadows import Shadows
from pipeline.train.inputs import Rows
from pipeline.train.plan import Plan
from pipeline.train.recipe_rules import PARTS
from pipeline.train.trainer import open_training

log = logging.getLogger(__name__)

_DIGITS = 6
_DELTA = 1e-5
"""Of the bound, where the model promises no delta of its own."""


@dataclass(frozen=True)
class Recipe:
    """What was found of the recipe."""

    report: dict[str, Any]
    curve: Curve


def head_plan(plan: Plan, items: int) -> Plan:
    """Return the plan of a head by the same recipe; what has no meaning for a head is off.

    Args:
        plan: Of the project.
        items: That are trained on; a batch is no larger.
    """
    off: dict[str, dict[str, Any]] = {"train": {"strategy": "head", "test_views": 1}, "optim": {}}
    for part in PARTS:
        if "head" in part.reasons:
            section, name = part.field.split(".")
            off[section][name] = part.off
    batch = plan.recipe.train.batch_size
    off["train"]["batch_size"] = batch if batch == "full" else min(batch, items)
    train = plan.recipe.train.model_copy(update=off["train"])
    optim = plan.recipe.optim.model_copy(update=off["optim"])
    return replace(plan, recipe=replace(plan.recipe, train=train, optim=optim))


def audit_recipe(setting: Setting, known: References, promised: Mapping[str, Any] | None) -> Recipe:
    """Train a head by the recipe on items that coins chose, guess the coins, and bound epsilon.

    A coin decides on each item of train and test, or on each group where the promise is for groups.
    The val split chooses the epoch, as ever, and no coin decides on it.

    Args:
        setting: What is audited.
        known: How hard each item is.
        promised: The privacy that bundle.json states; None where there is none.
    """
    store, seed = setting.parts.store, setting.seed
    rows = np.flatnonzero((store.index["split"] != "val").to_numpy())
    by_group = promised is not None and promised.get("unit") == "group"
    units_R = group_numbers(store.index.iloc[rows]) if by_group else np.arange(len(rows))
    inside_R = flip(units_R, numpy_generator(seed, "privacy", "coins"))
    plan = head_plan(setting.plan, int(inside_R.sum()))
    chosen = Rows(rows[inside_R], store.rows("val"))
    training = open_training(plan, setting.parts, setting.runtime, rows=chosen)
    for _ in training.run(None):
        pass
    trained = training.finish()
    served = training.targets.serve(trained.outputs(rows), trained.temperature)
    fits = of_served(
        served, training.targets, training.targets.encode(store.index["label"].iloc[rows])
    )
    scores = known.shadows.scores(fits, rows)
    delta = _DELTA if promised is None else float(promised["delta"])
    made = _rehearse(known.shadows, rows, units_R, delta)
    found = guess(_by_unit(scores, units_R), _by_unit(inside_R, units_R) > 0, made)
    report = judge(scores[inside_R], scores[~inside_R]) | {
        "unit": "group" if by_group else "item",
        "units": found.units,
        "guesses": found.made,
        "right": found.right,
        "epsilon_at_least": round(epsilon_bound(found, delta), _DIGITS),
        "delta": delta,
        "confidence": CONFIDENCE,
    }
    return Recipe(report, roc(scores[inside_R], scores[~inside_R]))


def _rehearse(shadows: Shadows, rows: np.ndarray, units_R: np.ndarray, delta: float) -> int:
    """Return how many guesses to make, by a shadow head, whose coins are others than the audit's.

    Its halves keep groups and look-alikes whole, so a unit is in where its first item is.
    """
    first = shadows.without(0).scores(shadows.fits_SN[0, rows], rows)
    coins = _by_unit(shadows.inside_SN[0, rows], units_R) > 0
    return choose_made(_by_unit(first, units_R), coins, delta)


def _by_unit(values_R: npt.NDArray[Any] | Flags, units_R: np.ndarray) -> np.ndarray:
    """Return the sum of the values of each unit, float64 [M]."""
    return np.bincount(units_R, weights=values_R.astype(np.float64))
