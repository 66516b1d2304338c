"""The trials of a search, kept in a file; home of Optuna.

Trials are drawn in batches, and kept in their order as they end. A trial that was not over when the
process died is tried again, with the same params. Each is drawn with a seed of its number, from
what the batches before it gave, so a continued search draws the same params as one without a break,
and it does not matter how many trials of a batch run at a time.
"""

import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import FrozenTrial, TrialState

from pipeline.ground.errors import IntegrityError
from pipeline.ground.seeds import derive
from pipeline.tune.params import TuneParams
from pipeline.tune.space import Dimension
from pipeline.tune.trial import Drawn, Tried

_STARTUP_TRIALS = 5
_WARMUP_EPOCHS = 2
_STATES: Mapping[Literal["complete", "pruned", "failed"], TrialState] = {
    "complete": TrialState.COMPLETE,
    "pruned": TrialState.PRUNED,
    "failed": TrialState.FAIL,
}
_LAST = "end_ms"
"""The fact that is kept last: with it, a trial has all of them."""

_FACTS = "search"
"""What is kept of the search as a whole."""


@dataclass(frozen=True)
class Ended:
    """A finished trial."""

    number: int
    state: Literal["complete", "pruned", "failed"]
    values: dict[str, Any]
    """The params tried, by `section.key`."""

    value: float | None
    """The best of the monitored number; None where it failed."""

    epochs: list[dict[str, float]]
    note: str
    start_ms: int
    end_ms: int


class Study:
    """A search.

    Args:
        path: The file that keeps it; made if it is missing.
        dimensions: What is searched.
        params: How.
        direction: Of the monitored number: which way is better.
        present: The present values of what is searched; they are tried first.
    """

    def __init__(
        self,
        path: Path,
        dimensions: Sequence[Dimension],
        params: TuneParams,
        *,
        direction: Literal["max", "min"],
        present: Mapping[str, Any],
    ) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        path.parent.mkdir(parents=True, exist_ok=True)
        self._dimensions, self._params, self._direction = dimensions, params, direction
        self._study = optuna.create_study(
            storage=f"sqlite:///{path}",
            study_name="tune",
            direction="maximize" if direction == "max" else "minimize",
            load_if_exists=True,
        )
        if not self._study.trials and _lies_within(present, dimensions):
            self._study.enqueue_trial(dict(present))
        for trial in self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            self._settle(trial)

    def _settle(self, trial: FrozenTrial) -> None:
        """End a trial whose process died: with the end that it noted, or to be tried again."""
        facts = trial.user_attrs
        if _LAST in facts:
            state = TrialState[facts["state"]]
            value = facts["best"] if state == TrialState.COMPLETE else None
            self._study.tell(trial.number, value, state=state)
            return
        self._study.enqueue_trial(dict(trial.params))
        self._study.tell(trial.number, state=TrialState.FAIL)

    def note(self, facts: Mapping[str, Any]) -> None:
        """Keep facts of the search that no trial holds; JSON values."""
        self._study.set_user_attr(_FACTS, dict(facts))

    def ended(self) -> list[Ended]:
        """Return all finished trials, in their order."""
        return _over(self._study)

    def best(self) -> Ended | None:
        """Return the best complete trial; of equal ones, the earliest."""
        return _best(self.ended(), self._direction)

    def next_trials(self) -> list["Trial"]:
        """Draw the trials of the next batch, or those of the last one that are not over."""
        over = _finished(self._study)
        size = self._params.together
        bars = self._bars(over[: len(over) // size * size])
        return [
            self._draw(number, bars) for number in range(len(over), (len(over) // size + 1) * size)
        ]

    def _draw(self, number: int, bars: Mapping[int, float]) -> "Trial":
        seed = derive(self._params.seed, "trial", number) % 2**32
        self._study.sampler = optuna.samplers.TPESampler(
            seed=seed, n_startup_trials=_STARTUP_TRIALS
        )
        drawn = self._study.ask({each.path: _distribution(each) for each in self._dimensions})
        values = {each.path: each.tidy(drawn.params[each.path]) for each in self._dimensions}
        return Trial(self._study, drawn, Drawn(values, bars))

    def _bars(self, over: Sequence[FrozenTrial]) -> dict[int, float]:
        """Return the median of the best values so far of complete trials, by epoch.

        Source: the median stopping rule of Golovin et al. (2017).
        """
        done = [each.intermediate_values for each in over if each.state == TrialState.COMPLETE]
        if self._params.pruner == "none" or len(done) < _STARTUP_TRIALS:
            return {}
        epochs = sorted({epoch for each in done for epoch in each if epoch >= _WARMUP_EPOCHS})
        return {
            epoch: statistics.median(each[epoch] for each in done if epoch in each)
            for epoch in epochs
        }


@dataclass(frozen=True)
class Kept:
    """A search, as read from its file.

    Attributes:
        facts: What `Study.note` got; empty if an older version started the search.
        ended: The trials that are over, in their order.
        best: The best of them.
    """

    facts: dict[str, Any]
    ended: list[Ended]
    best: Ended | None


def read_study(path: Path) -> Kept:
    """Read the file of a search without a change.

    Raises:
        IntegrityError: It is damaged, or no search.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        study = optuna.load_study(study_name="tune", storage=f"sqlite:///{path}")
        ended = _over(study)
    except Exception as error:  # of Optuna, of SQLAlchemy, of an entry that is not ours
        raise IntegrityError(path, f"is no readable search: {error}", remedy="delete it") from error
    is_max = study.direction == optuna.study.StudyDirection.MAXIMIZE
    facts = dict(study.user_attrs.get(_FACTS) or {})
    return Kept(facts, ended, _best(ended, "max" if is_max else "min"))


def _finished(study: optuna.Study) -> list[FrozenTrial]:
    return [
        each
        for each in study.get_trials(deepcopy=False)
        if each.state.is_finished() and _LAST in each.user_attrs
    ]


def _over(study: optuna.Study) -> list[Ended]:
    return [_ended(each) for each in _finished(study)]


def _best(ended: Sequence[Ended], direction: Literal["max", "min"]) -> Ended | None:
    done = [each for each in ended if each.state == "complete"]
    sign = 1 if direction == "min" else -1
    return min(done, key=lambda each: sign * (each.value or 0.0), default=None)


class Trial:
    """A trial that was drawn, and is not over."""

    def __init__(self, study: optuna.Study, trial: optuna.Trial, drawn: Drawn) -> None:
        self._study, self._trial = study, trial
        self.drawn = drawn

    def end(self, tried: Tried) -> Ended:
        """Keep what it gave."""
        for epoch, value in enumerate(tried.bests, start=1):
            self._trial.report(value, epoch)
        state = _STATES[tried.state]
        best = tried.bests[-1] if tried.bests else None
        facts = {
            "values": dict(self.drawn.values),
            "epochs": list(tried.epochs),
            "note": tried.note,
            "best": best,
            "state": state.name,
            _LAST: time.time_ns() // 1_000_000,
        }
        for name, fact in facts.items():
            self._trial.set_user_attr(name, fact)
        self._study.tell(self._trial, best if tried.state == "complete" else None, state=state)
        return next(
            _ended(each)
            for each in self._study.get_trials(deepcopy=False)
            if each.number == self._trial.number
        )


def _ended(trial: FrozenTrial) -> Ended:
    facts = trial.user_attrs
    start = trial.datetime_start
    return Ended(
        number=trial.number,
        state=next((name for name, each in _STATES.items() if each == trial.state), "failed"),
        values=facts["values"],
        value=facts["best"],
        epochs=facts["epochs"],
        note=facts["note"],
        start_ms=int(start.timestamp() * 1000) if start else facts["end_ms"],
        end_ms=facts["end_ms"],
    )


def _distribution(dimension: Dimension) -> BaseDistribution:
    if dimension.choices:
        return CategoricalDistribution(dimension.choices)
    if dimension.is_whole:
        return IntDistribution(int(dimension.low), int(dimension.high), log=dimension.is_log)
    return FloatDistribution(dimension.low, dimension.high, log=dimension.is_log)


def _lies_within(present: Mapping[str, Any], dimensions: Sequence[Dimension]) -> bool:
    """Return whether the present params can be a trial of this search."""
    return all(
        present[each.path] in each.choices
        if each.choices
        else not isinstance(present[each.path], str) and each.low <= present[each.path] <= each.high
        for each in dimensions
    )
