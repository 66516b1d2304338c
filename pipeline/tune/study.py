"""The trials of a search, kept in a file; home of Optuna.

A trial is kept when it ends. A trial that was running when the process died is tried again, with
the same params. The sampler is seeded by the number of finished trials, so a continued search draws
the same params as one without a break.
"""

import math
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

_STARTUP_TRIALS = 5
_WARMUP_EPOCHS = 2
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
            pruner=_pruner(params),
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

    def next_trial(self) -> "Trial":
        """Draw the params of the next trial."""
        seed = derive(self._params.seed, "trial", len(self.ended())) % 2**32
        self._study.sampler = optuna.samplers.TPESampler(
            seed=seed, n_startup_trials=_STARTUP_TRIALS
        )
        drawn = self._study.ask({each.path: _distribution(each) for each in self._dimensions})
        values = {each.path: each.tidy(drawn.params[each.path]) for each in self._dimensions}
        return Trial(self._study, drawn, values, self._direction)


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


def _over(study: optuna.Study) -> list[Ended]:
    return [
        _ended(each)
        for each in study.get_trials(deepcopy=False)
        if each.state.is_finished() and _LAST in each.user_attrs
    ]


def _best(ended: Sequence[Ended], direction: Literal["max", "min"]) -> Ended | None:
    done = [each for each in ended if each.state == "complete"]
    sign = 1 if direction == "min" else -1
    return min(done, key=lambda each: sign * (each.value or 0.0), default=None)


class Trial:
    """A running trial."""

    def __init__(
        self,
        study: optuna.Study,
        trial: optuna.Trial,
        values: dict[str, Any],
        direction: Literal["max", "min"],
    ) -> None:
        self._study, self._trial, self._direction = study, trial, direction
        self.values = values
        self.number = trial.number
        self._epochs: list[dict[str, float]] = []
        self._best = math.nan

    def report(self, epoch: int, value: float, numbers: Mapping[str, float]) -> bool:
        """Note an epoch; return whether the trial should stop here."""
        better = min if self._direction == "min" else max
        self._best = value if math.isnan(self._best) else better(self._best, value)
        self._epochs.append({"epoch": epoch, **numbers})
        self._trial.report(self._best, epoch)
        return self._trial.should_prune()

    def complete(self) -> Ended:
        """End it with its best value."""
        return self._end(TrialState.COMPLETE, "")

    def prune(self) -> Ended:
        """End it early."""
        return self._end(TrialState.PRUNED, "")

    def fail(self, note: str) -> Ended:
        """End it without a value; the note says why."""
        return self._end(TrialState.FAIL, note)

    def _end(self, state: TrialState, note: str) -> Ended:
        best = None if math.isnan(self._best) else self._best
        facts = {
            "values": self.values,
            "epochs": self._epochs,
            "note": note,
            "best": best,
            "state": state.name,
            _LAST: time.time_ns() // 1_000_000,
        }
        for name, fact in facts.items():
            self._trial.set_user_attr(name, fact)
        value = best if state == TrialState.COMPLETE else None
        self._study.tell(self._trial, value, state=state)
        return next(
            _ended(each)
            for each in self._study.get_trials(deepcopy=False)
            if each.number == self.number
        )


def _ended(trial: FrozenTrial) -> Ended:
    states: dict[TrialState, Literal["complete", "pruned", "failed"]] = {
        TrialState.COMPLETE: "complete",
        TrialState.PRUNED: "pruned",
    }
    facts = trial.user_attrs
    start = trial.datetime_start
    return Ended(
        number=trial.number,
        state=states.get(trial.state, "failed"),
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


def _pruner(params: TuneParams) -> optuna.pruners.BasePruner:
    if params.pruner == "none":
        return optuna.pruners.NopPruner()
    return optuna.pruners.MedianPruner(_STARTUP_TRIALS, _WARMUP_EPOCHS)


def _lies_within(present: Mapping[str, Any], dimensions: Sequence[Dimension]) -> bool:
    """Return whether the present params can be a trial of this search."""
    return all(
        present[each.path] in each.choices
        if each.choices
        else not isinstance(present[each.path], str) and each.low <= present[each.path] <= each.high
        for each in dimensions
    )
