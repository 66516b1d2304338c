"""What the numbers of the report say, in sentences: no claim without its interval."""

from collections.abc import Mapping
from typing import Any

from pipeline.explain.checks import LEVELS
from pipeline.explain.words import interval, number, shuffled_correlations_told

_FEW = 6


def findings(report: Mapping[str, Any]) -> list[str]:
    """Return where the maps lie, whether they depend on the weights, and the model on them."""
    return [*_border(report["looking"]["border"]), *_sanity(report), _covered(report)]


def warnings(report: Mapping[str, Any]) -> list[str]:
    """Return what must not be overlooked."""
    sanity, looking = report["sanity"], report["looking"]
    found = []
    if not sanity["maps_depend_on_weights"]:
        means = [sanity[level]["mean"] for level in LEVELS if "mean" in sanity[level]]
        found.append(
            f"the heat maps hardly depend on what the model learned: with shuffled weights their "
            f"rank correlation with the true ones is {max(means):.2f}, above "
            f"explain.max_correlation ({sanity['limit']}); do not read them as reasons"
        )
    if looking["without_heat"] * 2 > looking["items"]:
        found.append(
            f"{looking['without_heat']} of {looking['items']} heat maps are empty: nothing in the "
            "last feature map spoke for the answer"
        )
    heat = looking["border"].get("heat")
    if heat and heat.get("low", 0.0) > 1.5 * looking["border"]["area"]:
        found.append(
            f"the model looks at the pictures' borders: {heat['mean']:.0%} of the heat lies on "
            f"{looking['border']['area']:.0%} of the area"
        )
    return found


def _border(border: Mapping[str, Any]) -> list[str]:
    if "heat" not in border:
        return ["No map has any heat."]
    heat, area = border["heat"], border["area"]
    told = (
        f"The outer border is {area:.1%} of the area and holds {heat['mean']:.1%} of the heat"
        f"{interval(heat, '.1%')}"
    )
    if "low" not in heat:
        return [f"{told}; without intervals, no claim is made."]
    verdict = "not told from that of"
    if heat["high"] < area:
        verdict = "less than for"
    elif heat["low"] > area:
        verdict = "more than for"
    return [f"{told}: {verdict} a map without any preference."]


def _sanity(report: Mapping[str, Any]) -> list[str]:
    sanity = report["sanity"]
    told = shuffled_correlations_told(sanity)
    if not told:
        return ["With shuffled weights no map is left to compare."]
    verdict = "change" if sanity["maps_depend_on_weights"] else "hardly change"
    return [
        f"The maps {verdict} when weights are shuffled: the rank correlation with the true maps is "
        f"{', '.join(told)}; 1 would mean that they do not depend on what was learned "
        f"({sanity['items']} pictures, shuffles: {sanity['randomizations']})."
    ]


def _covered(report: Mapping[str, Any]) -> str:
    covered = report["covered"]
    what = "the answer's probability" if "calibration" in report else "the value"
    difference = covered["difference"]
    if difference.get("low", 0.0) > 0:
        verdict = "so the maps show what the model needs"
    elif "low" in difference:
        verdict = "so it is not shown that the model needs what the maps show"
    else:
        verdict = "without intervals, no claim is made"
    return (
        f"With the hottest {covered['area']:.0%} of a picture blurred, {what} falls by "
        f"{number(covered['hottest']['mean'])} on average; with a patch of the same shape on the "
        f"opposite side by {number(covered['elsewhere']['mean'])}. The difference is "
        f"{number(difference['mean'])}{interval(difference, '.3f')}: {verdict} "
        f"({covered['items']} pictures).{_each(covered.get('by_answer', {}))}"
    )


def _each(by_answer: Mapping[str, Any]) -> str:
    """Return a sentence on the few classes of a model."""
    if not 1 < len(by_answer) <= _FEW:
        return ""
    told = [
        f"{name} {each['hottest']:.3f} and {each['elsewhere']:.3f} (n = {each['n']})"
        for name, each in by_answer.items()
    ]
    return f" By the answer: {', '.join(told)}."
