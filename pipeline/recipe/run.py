"""Find what params.yaml leaves to the data: every `auto` that a modality has candidates for."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from pipeline.ground.errors import DataError
from pipeline.ground.params import Task, Unchecked
from pipeline.manifest.manifest import group_names
from pipeline.modality.nets import net
from pipeline.modality.scaling import scaling
from pipeline.modality.shelving import shelf
from pipeline.recipe.sample import Bench, Shown
from pipeline.recipe.score import Fitted, Floats, Score
from pipeline.recipe.trials import (
    LEAST_GAIN,
    MARGIN,
    MOST_HARM,
    NOTHING,
    Trial,
    judge,
    take_better,
    take_harmless,
)

log = logging.getLogger(__name__)

VERSION = 1
COLUMNS = ("param", "value", "loss", "accuracy", "difference", "error", "low", "high", "chosen")
"""Of the table of candidates; see `Trial`."""

_RULE = (
    f"of transform: the first candidate, unless another one is better by over {MARGIN:g} standard "
    f"errors of the paired difference, and by {LEAST_GAIN:.0%} of its loss; of augment: a view "
    f"that is not worse by {MARGIN:g} standard errors, nor, with one of them, by {MOST_HARM:.0%}, "
    f"or not by {NOTHING:g} at all; "
    "each param with what was chosen of other sections, and with the first values of its own"
)


@dataclass(frozen=True)
class Sections:
    """The sections that candidates stand in, as params.yaml has them."""

    transform: Unchecked
    normalize: Unchecked
    augment: Unchecked

    def open(self, known: Mapping[str, Sequence[Any]]) -> dict[str, Sequence[Any]]:
        """Return the candidates of those params that are `auto`."""
        found = {*self.transform.auto(known), *self.augment.auto(known)}
        return {param: values for param, values in known.items() if param in found}


def find_recipe(
    bench: Bench, sections: Sections, candidates: Mapping[str, Sequence[Any]], *, task: Task
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Try the candidates of some params, one param after the other.

    Args:
        bench: The sample.
        sections: With `auto` where a value is to be found.
        candidates: Of those params, by `section.key`; the first of each is the reference.
        task: What labels are.

    Returns:
        The record `recipe.json`, and the lines of the table of candidates.

    Raises:
        DataError: The sample has a single class, or a single value.
    """
    first = {param: values[0] for param, values in candidates.items()}
    chosen, table = dict(first), list[dict[str, Any]]()
    scorer = _Scorer(bench, sections, task)
    for param, values in candidates.items():
        # a param is tried with what was chosen of other sections, and alone in its own
        base = {each: first[each] if _alike(each, param) else chosen[each] for each in first}
        trials, best = _try(scorer, param, values, base)
        chosen[param] = best.value
        table += [each.row(chosen=each is best) for each in trials]
        log.info("recipe: %s", _tell(trials, best))
    record = {
        "version": VERSION,
        "items": len(bench.rows),
        "rule": _RULE,
        "choices": chosen,
        "trials": table,
    }
    return record, table


def _alike(one: str, other: str) -> bool:
    return one.split(".")[0] == other.split(".")[0]


class _Scorer:
    """Tries values; what two of them share is computed once."""

    def __init__(self, bench: Bench, sections: Sections, task: Task) -> None:
        self.bench, self.sections, self.task = bench, sections, task
        self.groups = list(group_names(bench.rows))
        self._shown: dict[Any, Shown] = {}
        self._fitted: dict[str, Fitted] = {}

    @cached_property
    def targets(self) -> Floats:
        """Of the sample: one-hot classes, or standardized values."""
        return _targets(self.bench.rows["label"], self.task)

    def rows(self, settings: Mapping[str, Any]) -> Score:
        """Score how items become rows; rows that are equal have one score."""
        return self._fit(settings)[1].score

    def views(self, settings: Mapping[str, Any]) -> Score:
        """Score items as their last view shows them, by fits to the items as they are."""
        shown, fitted = self._fit(settings)
        views = (
            self.sections.augment.settle(settings).check(net(self.bench.modality).params).views()
        )
        return fitted.show(shown.of_view(views[-1]))

    def encode(self, settings: Sequence[Mapping[str, Any]]) -> None:
        """Encode the sample in the ways that some settings ask for, all at once."""
        specs = {spec: None for spec in map(self._spec, settings) if spec not in self._shown}
        if specs:
            normalize = self.sections.normalize.check(scaling(self.bench.modality).params)
            self._shown |= zip(specs, self.bench.show(list(specs), normalize), strict=True)

    def _spec(self, settings: Mapping[str, Any]) -> Any:
        params = self.sections.transform.settle(settings).check(shelf(self.bench.modality).params)
        return params.spec()

    def _fit(self, settings: Mapping[str, Any]) -> tuple[Shown, Fitted]:
        self.encode([settings])
        shown = self._shown[self._spec(settings)]
        if shown.digest not in self._fitted:
            self._fitted[shown.digest] = Fitted(shown.of_view(0), self.targets, self.groups)
        return shown, self._fitted[shown.digest]


def _try(
    scorer: _Scorer, param: str, values: Sequence[Any], base: Mapping[str, Any]
) -> tuple[list[Trial], Trial]:
    """Return the trials of a param's values, and the one that is taken."""
    of_views = param.startswith("augment.")
    judged, take = (scorer.views, take_harmless) if of_views else (scorer.rows, take_better)
    settings = [{**base, param: value} for value in values]
    scorer.encode(settings)
    found = [judged(each) for each in settings]
    trials = [
        judge(param, value, each, found[0], regression=scorer.task == "regression")
        for value, each in zip(values, found, strict=True)
    ]
    return trials, take(trials)


def _targets(labels: pd.Series, task: Task) -> Floats:
    """Return one-hot classes, or values with mean 0 and deviation 1.

    Raises:
        DataError: There is one class, or one value.
    """
    found: Floats
    if task == "regression":
        values = labels.astype(np.float64).to_numpy()
        found = (values - values.mean())[:, np.newaxis]
        found /= max(found.std(), np.finfo(np.float64).tiny)
    else:
        found = pd.get_dummies(labels, dtype=np.float64).to_numpy()
    if labels.nunique() < 2:
        raise DataError(
            "train",
            "must hold two classes or values, and two items, for `auto` to find anything",
            remedy="give values in params.yaml in place of `auto`",
        )
    return found


def _tell(trials: Sequence[Trial], best: Trial) -> str:
    """Say what was chosen, and why."""
    shown = ", ".join(
        f"{each.value} {each.loss:.4f}" + _against(each, trials[0]) for each in trials
    )
    return f"{best.param} is {best.value} (squared error: {shown})"


def _against(trial: Trial, first: Trial) -> str:
    if trial is first:
        return ""
    return (
        " (the same rows)"
        if trial.error == 0
        else f" ({trial.difference:+.4f} +- {trial.error:.4f})"
    )
