"""Bring a search to MLflow: a parent run, and a nested run for each trial.

A projection of the study, by the search's key: same key, same parent; same trial, same run.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.track.connection import Tracking, publish_to
from pipeline.track.nested import Nested, complete_nested
from pipeline.track.params import TrackingParams
from pipeline.track.runs import (
    COMPLETE,
    Point,
    curve_points,
    find_runs,
    is_complete,
    log_params,
    log_points,
    metric_name,
    set_tags,
)

log = logging.getLogger(__name__)

_KEY, _TRIAL = "tune.key", "tune.trial"
_NAME_CHARS = 8


@dataclass(frozen=True)
class TrialRun:
    """A trial that is over."""

    number: int
    state: str
    values: Mapping[str, Any]
    value: float | None
    epochs: Sequence[Mapping[str, float]]
    note: str
    start_ms: int
    end_ms: int


@dataclass(frozen=True)
class Search:
    """A search, as it stands.

    Attributes:
        key: What it trains on and searches.
        params: params.yaml.
        space: What is searched.
        monitor: The number on validation that decides.
        trials: Those that are over.
        best: Number of the best one.
    """

    key: str
    params: Mapping[str, Any]
    space: Mapping[str, Any]
    monitor: str
    trials: Sequence[TrialRun]
    best: int | None


def publish_search(search: Search, params: TrackingParams) -> None:
    """Make parent and nested runs say what the study says.

    Raises:
        TrackingError: The server is away, and `tracking.required` is true.
    """
    if search.trials:
        publish_to(params, lambda tracking: _settle(tracking, search))


def count_trials(tracking: Tracking, key: str) -> int:
    """Count the trials of a search that have a complete run."""
    runs = find_runs(tracking, _KEY, key)
    return sum(_TRIAL in run.data.tags and is_complete(run) for run in runs)


def _settle(tracking: Tracking, search: Search) -> None:
    first, last = search.trials[0].start_ms, max(each.end_ms for each in search.trials)
    tags = {
        _KEY: search.key,
        "kind": "tune",
        "mlflow.source.name": "rootstock tune",
        "mlflow.runName": f"tune-{search.key[:_NAME_CHARS]}",
    }
    known = [run for run in find_runs(tracking, _KEY, search.key) if _TRIAL not in run.data.tags]
    parent = (
        known[0]
        if known
        else tracking.client.create_run(tracking.experiment_id, start_time=first, tags=tags)
    )
    run_id = str(parent.info.run_id)
    fixed = {name: section for name, section in search.params.items() if name != "tune"}
    log_params(tracking, run_id, {**fixed, "tune": {"space": search.space}})
    complete_nested(tracking, run_id, [_nested(search, trial) for trial in search.trials])
    best = next((each for each in search.trials if each.number == search.best), None)
    if best is not None and best.value is not None:
        point = Point(metric_name(f"val_{search.monitor}"), best.value, len(search.trials), last)
        log_points(tracking, run_id, [point])
        set_tags(tracking, run_id, {"tune.best": str(best.number)})
    tracking.client.set_terminated(run_id, "FINISHED", last)
    set_tags(tracking, run_id, {COMPLETE: "true"})
    log.info("run tune-%s (%s) has %d trials", search.key[:_NAME_CHARS], run_id, len(search.trials))


def _nested(search: Search, trial: TrialRun) -> Nested:
    times = {int(row["epoch"]): trial.start_ms + at for at, row in enumerate(trial.epochs)}
    return Nested(
        name=f"trial-{trial.number:03d}",
        which=_TRIAL,
        tags={
            _KEY: search.key,
            _TRIAL: str(trial.number),
            "kind": "tune",
            "tune.state": trial.state,
            **({"mlflow.note.content": trial.note} if trial.note else {}),
        },
        params=trial.values,
        points=curve_points(trial.epochs, start_ms=trial.start_ms, times=times),
        start_ms=trial.start_ms,
        end_ms=trial.end_ms,
        status="FAILED" if trial.state == "failed" else "FINISHED",
    )
