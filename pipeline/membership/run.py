"""The stage `privacy`, from what was opened to the files that it writes."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.ground.files import write_json
from pipeline.judge.answers import Subject
from pipeline.membership.audit import Audited, Setting, audit_model, train_references
from pipeline.membership.drawing import draw, write_exposed
from pipeline.membership.recipe import Recipe, audit_recipe
from pipeline.membership.report import assemble

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Found:
    """What was found of the model, and of a head by its recipe."""

    model: Audited
    recipe: Recipe
    report: dict[str, Any]


def audit(setting: Setting, subject: Subject, promised: Mapping[str, Any] | None) -> Found:
    """Audit a model as it is, and a head by its recipe.

    Args:
        setting: What is audited, and with what.
        subject: The model, and its answers on test.
        promised: The privacy that bundle.json states; None where there is none.

    Raises:
        ParamsError: There are no pooled features.
        DataError: Labels do not fit the task, or there are too few items.
    """
    known = train_references(setting)
    model = audit_model(setting, known, subject)
    recipe = audit_recipe(setting, known, promised)
    report = assemble(
        model.report,
        recipe.report,
        promised,
        heads=setting.params.heads,
        strategy=setting.plan.recipe.train.strategy,
    )
    for each in report["findings"]:
        log.info(each)
    return Found(model, recipe, report)


def write(setting: Setting, found: Found, *, report: Path, exposed: Path, plots: Path) -> None:
    """Write what was found: curves and sheet, the list of exposed items, and the report last."""
    store, table = setting.parts.store, found.model.table
    draw(plots, {"model": found.model.curve, "recipe": found.recipe.curve}, table, store)
    write_exposed(exposed, table, store, most=setting.params.shown)
    write_json(report, found.report)
