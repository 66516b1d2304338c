"""Runs nested in another one: folds of a cross-validation, trials of a search."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from pipeline.track.claim import Attempt, complete_once
from pipeline.track.connection import Tracking
from pipeline.track.runs import (
    PARENT,
    Point,
    find_runs,
    is_complete,
    log_params,
    log_points,
    store_shared,
)

if TYPE_CHECKING:
    from mlflow.entities import Run


@dataclass(frozen=True)
class Nested:
    """A run nested in another one.

    Attributes:
        name: Of the run.
        which: The one of its tags that tells it from those beside it.
        tags: All that it has but those of name and parent.
        status: MLflow's word for how it ended.
    """

    name: str
    which: str
    tags: Mapping[str, str]
    params: Mapping[str, Any]
    points: Sequence[Point]
    start_ms: int
    end_ms: int
    status: str = "FINISHED"


def complete_nested(tracking: Tracking, parent: str, nested: Iterable[Nested]) -> None:
    """Complete nested runs, those that an earlier attempt or another clone began too."""
    present = find_runs(tracking, PARENT, parent)
    for each in nested:
        known = [run for run in present if _is_same(each, run)]
        if any(map(is_complete, known)):
            continue
        attempt = Attempt(
            write=partial(_write, tracking, parent, each),
            alike=partial(_alike, tracking, parent, each),
            is_ours=lambda _: True,
            drop=tracking.client.delete_run,
        )
        complete_once(tracking, known[0] if known else None, attempt)


def _is_same(nested: Nested, run: "Run") -> bool:
    return bool(run.data.tags.get(nested.which) == nested.tags[nested.which])


def _alike(tracking: Tracking, parent: str, nested: Nested) -> "list[Run]":
    return [run for run in find_runs(tracking, PARENT, parent) if _is_same(nested, run)]


def _write(tracking: Tracking, parent: str, nested: Nested, run: "Run | None") -> str:
    tags = {PARENT: parent, "mlflow.runName": nested.name, **nested.tags}
    run = run or tracking.client.create_run(
        tracking.experiment_id, start_time=nested.start_ms, tags=tags
    )
    run_id = str(run.info.run_id)
    log_points(tracking, run_id, nested.points)
    store_shared(lambda: log_params(tracking, run_id, nested.params))
    tracking.client.set_terminated(run_id, nested.status, nested.end_ms)
    return run_id
