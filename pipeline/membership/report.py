"""What report.json holds, and one line of it for people."""

from collections.abc import Mapping
from typing import Any

from pipeline.membership.rates import ASKED, name_of


def assemble(
    model: Mapping[str, Any],
    recipe: Mapping[str, Any],
    promised: Mapping[str, Any] | None,
    *,
    heads: int,
    strategy: str,
) -> dict[str, Any]:
    """Return the report.

    Args:
        model: What was found of the model as it is.
        recipe: What was found of a head by its recipe.
        promised: The privacy that bundle.json states.
        heads: Shadow heads.
        strategy: `train.strategy` of the model.
    """
    found = {
        "heads": heads,
        "model": dict(model),
        "recipe": dict(recipe),
        "promised": None if promised is None else dict(promised),
    }
    return found | {"findings": _findings(found, strategy)}


def _findings(report: Mapping[str, Any], strategy: str) -> list[str]:
    """Return what a person should know, a sentence each."""
    model, recipe, promised = report["model"], report["recipe"], report["promised"]
    found = [
        f"the model as it is: {rates_line(model)}",
        f"a head by the same recipe, half of {recipe['units']} {recipe['unit']}s: "
        f"{rates_line(recipe)}",
        f"of {recipe['guesses']} guesses {recipe['right']} were right: epsilon of the recipe is at "
        f"least {recipe['epsilon_at_least']:.2f} (delta {recipe['delta']:g}, confidence "
        f"{recipe['confidence']:.0%}; one {recipe['unit']})",
    ]
    if promised is not None:
        found.append(_beside(recipe, promised))
    if strategy != "head":
        found.append(
            f"the head stands for the last layer alone: `train.strategy: {strategy}` moves layers "
            "below it too, and may let out more than its figures say"
        )
    if not model["control"]["even"]:
        found.append(
            "train and test differ by themselves: heads that saw half of both tell them apart with "
            f"an area of {model['control']['auc']:.3f}, so the figures of the model are no proof"
        )
    return found


def _beside(recipe: Mapping[str, Any], promised: Mapping[str, Any]) -> str:
    epsilon, unit = float(promised["epsilon"]), promised["unit"]
    proven = f"the proven bound is {epsilon:g} for one {unit}"
    if recipe["epsilon_at_least"] > epsilon:
        return f"{proven}, and the audit refutes it: look for the fault before you ship the model"
    return f"{proven}; the audit does not contradict it"


def rates_line(found: Mapping[str, Any]) -> str:
    """Return the rates of members that are found, and the area, on one line."""
    told = [f"AUC {found['auc']:.3f}"]
    for rate in ASKED:
        at = found["tpr_at_fpr"][name_of(rate)]
        if not at["possible"]:
            few = f"{found['others']} others are too few"
            told.append(f"{rate:.1%} false alarms: {few}, {1 / rate:.0f} are needed")
            continue
        verdict = "found" if at["found"] else "within chance"
        told.append(
            f"{at['tpr']:.2%} of members ({at['ci95']['low']:.2%} to {at['ci95']['high']:.2%}) at "
            f"{rate:.1%} false alarms: {verdict}"
        )
    return "; ".join(told)
