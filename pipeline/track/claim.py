"""Several clones that publish one thing in the same moment agree on the run that shows it.

Each begins a run, unless it finds one. Before the last tag all look again: what takes seconds lies
between the beginning and that look, so they see each other's runs, and choose the same one. Each
deletes its own only, so that nobody writes to a run that is gone.
"""

import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.track.connection import Tracking
from pipeline.track.runs import COMPLETE, is_complete, set_tags

if TYPE_CHECKING:
    from mlflow.entities import Run

log = logging.getLogger(__name__)

_OTHER_S = 60.0
"""So long another clone gets to complete a run that only it can: of the same inputs, but trained to
another model. Else it was killed."""

_LOOK_S = 0.5


@dataclass(frozen=True)
class Attempt:
    """How a run is written, and told from others."""

    write: "Callable[[Run | None], str]"
    """Writes all but the last tag into a run, begun or not, and gives its id."""

    alike: "Callable[[], Iterable[Run]]"
    """Gives the runs of which one is to stay."""

    is_ours: "Callable[[Run], bool]"
    """Tells whether `write` may complete a run that another clone began."""

    drop: Callable[[str], object]
    """Deletes a run of our own."""


def complete_once(tracking: Tracking, run: "Run | None", attempt: Attempt) -> str:
    """Write a run and mark it complete, and give the id of the one that stays.

    That may be another clone's, which is complete, and need not show our own result.
    """
    run_id = attempt.write(run)
    first = min(attempt.alike(), key=_rank, default=None)
    if first is not None and first.info.run_id != run_id and not attempt.is_ours(first):
        first = _completed(tracking, first)
    if first is None or first.info.run_id == run_id:
        set_tags(tracking, run_id, {COMPLETE: "true"})
        return run_id
    attempt.drop(run_id)
    log.info("run %s: deleted, another clone began %s as well", run_id, first.info.run_id)
    return first.info.run_id if is_complete(first) else complete_once(tracking, first, attempt)


def completed_elsewhere(tracking: Tracking, runs: "Iterable[Run]") -> "Run | None":
    """Return another clone's run once it is complete; None where none of them is in time.

    Args:
        tracking: The server.
        runs: Of the same inputs, but another model; another clone writes them now, or was killed.
    """
    found = (_completed(tracking, run) for run in runs)
    return next((run for run in found if run is not None), None)


def _rank(run: "Run") -> tuple[bool, int, str]:
    return not is_complete(run), int(run.info.start_time or 0), str(run.info.run_id)


def _completed(tracking: Tracking, run: "Run") -> "Run | None":
    """Wait for another clone to complete its run; None where it does not."""
    deadline = time.monotonic() + _OTHER_S
    if not is_complete(run):
        log.info("run %s: another clone writes this result; waiting for it", run.info.run_id)
    while not is_complete(run):
        if run.info.lifecycle_stage == "deleted" or time.monotonic() >= deadline:
            return None
        time.sleep(_LOOK_S)
        run = tracking.client.get_run(run.info.run_id)
    return run
