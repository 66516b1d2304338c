"""The test split in parts, by columns of the label file: where is the model worse?

With many slices some interval lies apart by chance alone. So a slice is called worse or better than
the rest only where the interval of the difference, widened by the number of slices that are judged
(Bonferroni), does not hold 0.

Axes: N = items, R = resamples.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.ground.errors import ParamsError
from pipeline.judge.answers import Answers
from pipeline.judge.resampling import Bootstrap, Scores, resampled, weigh

META = "meta."
MOST_VALUES = 20
MISSING = "(none)"
"""The value of items that have none in a column."""

Claim = Literal["worse", "better", "none", "too few"]

_FIELD = "explain.slices"


@dataclass(frozen=True)
class Slice:
    """The items with one value in one column.

    Attributes:
        column: Without `meta.`.
        value: As text.
        n: Items.
        score: Accuracy, or mean absolute error; None where there are too few items.
        low: End of its 95 % interval.
        high: The other end.
        difference: From the score of all other items.
        difference_low: End of its interval, widened by the number of slices.
        difference_high: The other end.
        claim: Whether it is told from the rest, and how.
        follows_label: Whether each value of its column stands with one class only: then a slice is
            a part of a class, and its accuracy says how well the class is recalled.
    """

    column: str
    value: str
    n: int
    score: float | None = None
    low: float | None = None
    high: float | None = None
    difference: float | None = None
    difference_low: float | None = None
    difference_high: float | None = None
    claim: Claim = "too few"
    follows_label: bool = False

    @property
    def name(self) -> str:
        """Return the name of the slice, for people."""
        try:
            return f"{self.column} = {float(self.value):.4g}"
        except ValueError:
            return f"{self.column} = {self.value}"


def slice_columns(
    index: pd.DataFrame, wanted: Literal["auto"] | Sequence[str]
) -> Mapping[str, npt.NDArray[np.object_]]:
    """Return the columns to slice by, as text, by name without `meta.`.

    Raises:
        ParamsError: A column that is named is not there, or has too many values.
    """
    known = [name.removeprefix(META) for name in index.columns if name.startswith(META)]
    texts = {name: _texts(index[META + name]) for name in known}
    if wanted == "auto":
        counts = {name: len(set(values)) for name, values in texts.items()}
        return {name: texts[name] for name in known if 2 <= counts[name] <= MOST_VALUES}
    for name in wanted:
        if name not in texts:
            there = f"there are {', '.join(known)}" if known else "the label file has none"
            raise ParamsError(
                "params.yaml",
                "must be auto, or columns of the label file of your own",
                field=_FIELD,
                got=name,
                remedy=there,
            )
        found = len(set(texts[name]))
        if found > MOST_VALUES:
            raise ParamsError(
                "params.yaml",
                f"must be columns with at most {MOST_VALUES} values in the test "
                f"split; {name} has {found}",
                field=_FIELD,
                got=name,
            )
    return {name: texts[name] for name in dict.fromkeys(wanted)}


def judge_slices(
    answers: Answers,
    columns: Mapping[str, npt.NDArray[np.object_]],
    *,
    least: int,
    bootstrap: Bootstrap,
) -> list[Slice]:
    """Judge every slice by accuracy, or by mean absolute error; in the order of the columns.

    Args:
        answers: All of the test split.
        columns: From `slice_columns`.
        least: Smaller slices are only counted; the rest of a slice must be as large.
        bootstrap: Behind the intervals.
    """
    parts = [
        (
            Slice(
                column,
                value,
                int((values == value).sum()),
                follows_label=_follows_label(answers, values),
            ),
            values == value,
        )
        for column, values in columns.items()
        for value in sorted(set(values), key=_in_order)
    ]
    places = [
        at
        for at, (part, _) in enumerate(parts)
        if part.n >= least and len(answers) - part.n >= least
    ]
    slices = [part for part, _ in parts]
    if not places:
        return slices
    good_N = goodness(answers)

    def scores(weights_RN: np.ndarray) -> Scores:
        pairs = [
            [_mean(good_N, weights_RN * mask_N) for mask_N in (parts[at][1], ~parts[at][1])]
            for at in places
        ]
        inside, rest = (np.stack(each, axis=1) for each in zip(*pairs, strict=True))
        return {"score": inside, "difference": inside - rest}

    whole = scores(np.ones((1, len(answers))))
    drawn = resampled(scores, bootstrap)
    for number, at in enumerate(places):
        judged = _judge(whole, drawn, number, count=len(places), is_error=not answers.is_classes)
        slices[at] = replace(slices[at], **judged)
    return slices


def worst_slice(slices: Sequence[Slice], *, is_error: bool) -> Slice | None:
    """Return the slice with the worst score among those that were judged.

    Columns that follow the label are left out where there are others: their worst slice is the
    worst class.
    """
    judged = [each for each in slices if each.score is not None]
    free = [each for each in judged if not each.follows_label]
    sign = -1.0 if is_error else 1.0
    return min(free or judged, key=lambda each: sign * (each.score or 0.0), default=None)


def _follows_label(answers: Answers, values_N: npt.NDArray[np.object_]) -> bool:
    if not answers.is_classes:
        return False
    pairs = set(zip(values_N, answers.targets_N, strict=True))
    return len(pairs) == len(set(values_N)) < len(values_N)


def _judge(
    whole: Scores, drawn: Scores, place: int, *, count: int, is_error: bool
) -> dict[str, Any]:
    result: dict[str, Any] = {
        "score": float(whole["score"][0, place]),
        "difference": float(whole["difference"][0, place]),
        "claim": "none",
    }
    if not drawn:
        return result
    low, high = _interval(drawn["score"][:, place], 0.95)
    below, above = _interval(drawn["difference"][:, place], 1.0 - 0.05 / count)
    result |= {"low": low, "high": high, "difference_low": below, "difference_high": above}
    if below > 0.0 or above < 0.0:
        result["claim"] = "worse" if (below > 0.0) == is_error else "better"
    return result


def goodness(answers: Answers) -> np.ndarray:
    """Return what a slice's score is the mean of, [N]: right or not, or the absolute error."""
    if answers.is_classes:
        return answers.right.astype(np.float64)
    return np.asarray(np.abs(answers.served[:, 0] - answers.targets_N))


def _mean(values_N: np.ndarray, weights_RN: np.ndarray) -> np.ndarray:
    """Return weighted means, [R]; NaN where nothing was drawn."""
    total_R = weights_RN.sum(axis=1)
    safe_R = np.where(total_R > 0, total_R, 1.0)
    return np.where(total_R > 0, weigh(weights_RN, values_N) / safe_R, np.nan)


def _interval(values_R: np.ndarray, confidence: float) -> tuple[float, float]:
    beyond = 50.0 * (1.0 - confidence)
    low, high = np.nanpercentile(values_R, [beyond, 100.0 - beyond])
    return float(low), float(high)


def _texts(column: pd.Series) -> npt.NDArray[np.object_]:
    return np.array([MISSING if pd.isna(each) else str(each) for each in column], dtype=object)


def _in_order(text: str) -> tuple[int, float, str]:
    """Sort numbers as numbers, before words, before what is missing."""
    if text == MISSING:
        return (2, 0.0, text)
    try:
        return (0, float(text), text)
    except ValueError:
        return (1, 0.0, text)
