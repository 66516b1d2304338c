"""What the numbers of the report say of words, in sentences: no claim without its interval."""

from collections.abc import Mapping
from typing import Any

from pipeline.explain.checks import LEVELS
from pipeline.explain.words import interval, number, shuffled_correlations_told

_FEW = 6
"""Answers of a model whose words are told."""


def warnings(report: Mapping[str, Any]) -> list[str]:
    """Return what must not be overlooked."""
    sanity, left_out = report["sanity"], report["left_out_words"]
    found = []
    if not sanity["maps_depend_on_weights"]:
        means = [sanity[level]["mean"] for level in LEVELS if "mean" in sanity[level]]
        found.append(
            "the weights of words hardly depend on what the model learned: with its own weights "
            f"shuffled, their rank correlation with the true ones is {max(means):.2f}, above "
            f"explain.max_correlation ({sanity['limit']}); do not read them as reasons"
        )
    if left_out["difference"].get("high", 0.0) < 0:
        found.append(
            "leaving out the words that weigh most changes the answer less than leaving out others"
        )
    return found


def findings(report: Mapping[str, Any]) -> list[str]:
    """Return which words weigh most, whether that depends on the weights, and the model on them."""
    return [*_words(report["looking"]["by_answer"]), _sanity(report["sanity"]), _fall(report)]


def _words(by_answer: Mapping[str, Any]) -> list[str]:
    if len(by_answer) > _FEW:
        return []
    told = [
        f"{name}: " + ", ".join(f"{each['word']} ({each['weight']:.2f})" for each in words)
        for name, words in by_answer.items()
        if words
    ]
    if not told:
        return []
    return [f"The words that weigh most, of those in 3 texts and more: {'; '.join(told)}."]


def _sanity(sanity: Mapping[str, Any]) -> str:
    told = shuffled_correlations_told(sanity)
    if not told:
        return "With shuffled weights no text has words to compare."
    verdict = "change" if sanity["maps_depend_on_weights"] else "hardly change"
    return (
        f"The weights of words {verdict} when those of the model are shuffled: the rank "
        f"correlation with the true ones is {', '.join(told)}; 1 would mean that they do not "
        f"depend on what was learned ({sanity['items']} texts, shuffles: "
        f"{sanity['randomizations']})."
    )


def _fall(report: Mapping[str, Any]) -> str:
    found = report["left_out_words"]
    what = "the answer's probability" if "calibration" in report else "the value"
    difference = found["difference"]
    if difference.get("low", 0.0) > 0:
        verdict = "so the weights show what the model needs"
    elif "low" in difference:
        verdict = "so it is not shown that the model needs these words"
    else:
        verdict = "without intervals, no claim is made"
    return (
        f"Without the {found['share']:.0%} of words that weigh most, {what} falls by "
        f"{number(found['heaviest']['mean'])} on average; without as many others, drawn, by "
        f"{number(found['others']['mean'])}. The difference is {number(difference['mean'])}"
        f"{interval(difference, '.3f')}: {verdict} ({found['items']} texts)."
    )
