"""The weights of words on the test split, and the two checks of them.

Axes: N = texts, C = those that are checked, W = words of a text.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import stats

from pipeline.compute.engine import MachineParams, progress
from pipeline.explain.checks import (
    Fall,
    choose_checked,
    choose_explained,
    describe_fall,
    describe_sanity,
    shuffled_correlations,
)
from pipeline.ground.seeds import numpy_generator
from pipeline.judge.answers import Answers, Subject
from pipeline.judge.resampling import Bootstrap
from pipeline.modality.types.params import ExplainParams
from pipeline.model.bundle import Predictor
from pipeline.text.explain.occlusion import METHOD, Weighed, to_rows, weigh

Floats = npt.NDArray[np.float64]

_CHUNK = 16
_FEWEST = 3
"""Words of a text whose weights are compared; texts of a word that is told of."""

_TOLD = 8
"""Words of each answer."""


@dataclass(frozen=True)
class Look:
    """Texts with the weights of their words, each for the answer that the model gave.

    Attributes:
        places_N: Which of the answers are explained, ascending.
        weighed: Of each.
    """

    places_N: npt.NDArray[np.int64]
    weighed: Sequence[Weighed]


@dataclass(frozen=True)
class Checks:
    """What the checks found.

    Attributes:
        places_C: Which of the explained texts were checked.
        correlations: By level, of each; NaN where it has too few words.
        fall: Without the words that matter most, and without as many others.
    """

    places_C: npt.NDArray[np.int64]
    correlations: dict[str, Floats]
    fall: Fall


def look(subject: Subject, params: ExplainParams, machine: MachineParams) -> Look:
    """Weigh the words of the test items, or of the first by their ids where there are too many."""
    answers = subject.answers
    places = choose_explained(answers, params.items)
    weighed: list[Weighed] = []
    starts = range(0, len(places), _CHUNK)
    for start in progress(starts, machine, total=len(starts), title="explain", unit="batches"):
        part = places[start : start + _CHUNK]
        rows = subject.store.read(answers.rows_N[part])
        weighed += weigh(subject.predictor, rows, answers.outputs[part])
    return Look(places, weighed)


def check(subject: Subject, found: Look, params: ExplainParams) -> Checks:
    """Check texts, as evenly as may be of each answer; the first of each by their ids."""
    answers = subject.answers
    places = choose_checked(answers, found.places_N, params.checked)
    mine = found.places_N[places]
    rows, outputs = subject.store.read(answers.rows_N[mine]), answers.outputs[mine]
    weighed = [found.weighed[place] for place in places]

    def compare(other: Predictor) -> Floats:
        again = weigh(other, rows, outputs)
        return np.array([correlate(*each) for each in zip(weighed, again, strict=True)])

    correlations = shuffled_correlations(subject, params, compare)
    ids = answers.index["id"].to_numpy(dtype=str)[mine]
    return Checks(places, correlations, _fall(subject.predictor, weighed, ids, outputs, params))


def correlate(one: Weighed, other: Weighed) -> float:
    """Return Spearman's rank correlation of the weights; NaN for few words, or all the same."""
    both = (one.weights_W, other.weights_W)
    if len(one.spans) < _FEWEST or any(np.ptp(each) == 0 for each in both):
        return float("nan")
    return float(stats.spearmanr(*both).statistic)


def describe(
    answers: Answers, found: Look, checks: Checks, params: ExplainParams, bootstrap: Bootstrap
) -> dict[str, Any]:
    """Return what report.json holds of the words, and of the checks."""
    places = found.places_N[checks.places_C]
    counts = [len(each.spans) for each in found.weighed]
    looking: dict[str, Any] = {
        "method": METHOD,
        "items": len(found.places_N),
        "words": float(np.mean(counts)),
        "by_answer": _heaviest(answers, found),
    }
    names = ("heaviest", "others")
    left_out = {
        "items": len(places),
        "share": params.covered_frac,
        **describe_fall(answers, places, checks.fall, bootstrap, names=names),
    }
    groups = answers.groups_N[places]
    sanity = describe_sanity(checks.correlations, groups, params, bootstrap)
    return {"looking": looking, "sanity": sanity, "left_out_words": left_out}


def _fall(
    predictor: Predictor,
    weighed: Sequence[Weighed],
    ids: np.ndarray,
    outputs: np.ndarray,
    params: ExplainParams,
) -> Fall:
    top = [each.top(params.covered_frac) for each in weighed]
    others = [
        numpy_generator(params.seed, "words", name).permutation(len(each.spans))[: len(chosen)]
        for each, chosen, name in zip(weighed, top, ids, strict=True)
    ]
    rows = np.arange(len(weighed))
    plain, most, elsewhere = (
        predictor.predict(to_rows(predictor, texts))[rows, outputs]
        for texts in (
            [each.text for each in weighed],
            [each.without(chosen) for each, chosen in zip(weighed, top, strict=True)],
            [each.without(chosen.tolist()) for each, chosen in zip(weighed, others, strict=True)],
        )
    )
    return Fall(plain - most, plain - elsewhere)


def _heaviest(answers: Answers, found: Look) -> dict[str, list[dict[str, Any]]]:
    """Return by answer the words with the largest mean weight, of those in some texts."""
    tables: dict[str, dict[str, list[float]]] = {}
    names = answers.bundle.classes or (answers.bundle.target,)
    for place, weighed in zip(found.places_N, found.weighed, strict=True):
        own = tables.setdefault(names[answers.outputs[place]], {})
        for (start, end), weight in zip(weighed.spans, weighed.weights_W, strict=True):
            own.setdefault(weighed.text[start:end].casefold(), []).append(float(weight))
    return {name: _largest(tables[name]) for name in names if name in tables}


def _largest(table: dict[str, list[float]]) -> list[dict[str, Any]]:
    means = {word: float(np.mean(each)) for word, each in table.items() if len(each) >= _FEWEST}
    order = sorted(means, key=lambda word: (-means[word], word))[:_TOLD]
    order = [word for word in order if means[word] > 0]
    return [{"word": word, "n": len(table[word]), "weight": means[word]} for word in order]
