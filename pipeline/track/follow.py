"""Stream a journal to MLflow while training writes it: `python -m pipeline.track.follow JOURNAL`.

A process of its own, started by the `train` stage and never imported by it: a server that is slow,
away or back again costs training nothing. It ends when training has ended. What it could not send,
`publish` sends.
"""

import logging
import os
import sys
import time
from pathlib import Path
from typing import Any

from pipeline.ground.errors import PipelineError, TrackingError
from pipeline.ground.locks import try_lock
from pipeline.ground.params import in_force, load_section, read_params
from pipeline.keys.journal import Record, is_written, read_journal
from pipeline.repo.lock import PARAMS
from pipeline.track.connection import Tracking, connect, translated_errors
from pipeline.track.describe import run_name
from pipeline.track.params import TrackingParams
from pipeline.track.runs import Point, find_runs, is_complete, log_params, log_points, metric_name

log = logging.getLogger(__name__)

_POLL_S = 1.0
_LONGEST_PAUSE_S = 30.0
_LAST_TRIES = 3
_NICENESS = 10
STATUS = {"finished": "FINISHED", "stopped": "KILLED", "running": "KILLED", "failed": "FAILED"}
"""MLflow's word for how a training ended; one that says `running` and is not was killed."""


class Stream:
    """Brings a journal's training to its run, as far as it has got.

    Args:
        key: The training's `dvc.train`.
        params: Those in force.
        experiment: Name of the MLflow experiment.
    """

    def __init__(self, key: str, params: dict[str, Any], experiment: str) -> None:
        self._key = key
        self._params = params
        self._experiment = experiment
        self._sent: set[Point] = set()
        self._tracking: Tracking | None = None
        self._run_id: str | None = None
        self._is_done = False

    def send(self, record: Record, *, status: str) -> None:
        """Send what the run lacks, and its status.

        Raises:
            TrackingError: The server is away; call again later.
        """
        if self._is_done:
            return
        if self._tracking is None:
            self._tracking = connect(self._experiment)
        with translated_errors(self._tracking.uri):
            if self._run_id is None:
                self._run_id = self._open_run(self._tracking, record)
            if self._run_id is not None:
                self._send_points(self._tracking, self._run_id, record)
                self._tracking.client.update_run(self._run_id, status=status)
                if status != "RUNNING":
                    self._give_way(self._tracking, self._run_id)

    def _open_run(self, tracking: Tracking, record: Record) -> str | None:
        """Return the run of this training; None where it has been published before."""
        runs = find_runs(tracking, "dvc.train", self._key)
        if any(is_complete(run) for run in runs):
            log.info("%s: published already, nothing to stream", self._key)
            self._is_done = True
            return None
        open_runs = [run for run in runs if "dvc.key" not in run.data.tags]
        if open_runs:
            return str(open_runs[0].info.run_id)
        name = run_name(self._params, self._key)
        run = tracking.client.create_run(
            tracking.experiment_id,
            start_time=record.start_ms,
            tags={"dvc.train": self._key, "mlflow.runName": name},
        )
        log_params(tracking, run.info.run_id, record.info.get("params", {}))
        log.info("%s: streaming to run %s (%s)", self._key, run.info.run_id, name)
        return str(run.info.run_id)

    def _give_way(self, tracking: Tracking, run_id: str) -> None:
        """Delete the run where `publish` saw none in time, and completed one of its own."""
        runs = find_runs(tracking, "dvc.train", self._key)
        is_spare = any(run.info.run_id == run_id and "dvc.key" not in run.data.tags for run in runs)
        if is_spare and any(is_complete(run) for run in runs):
            tracking.client.delete_run(run_id)
            self._is_done = True
            log.info("%s: published meanwhile, run %s is deleted", self._key, run_id)

    def _send_points(self, tracking: Tracking, run_id: str, record: Record) -> None:
        points = [point for point in epoch_points(record) if point not in self._sent]
        if points:
            log_points(tracking, run_id, points)
            self._sent.update(points)


def epoch_points(record: Record) -> list[Point]:
    """Return the values of all epochs as points; a value that is no finite number has none."""
    return [
        Point(metric_name(name), value, epoch.epoch, epoch.time_ms)
        for epoch in record.epochs
        for name, value in sorted(epoch.values.items())
        if value is not None
    ]


def follow(path: Path, stream: Stream) -> None:
    """Send a journal's events until training has ended, whatever the server does."""
    pause_s, tries_left = _POLL_S, _LAST_TRIES
    while tries_left:
        # In this order: what a training wrote before it let go of the journal is then read.
        is_running = is_written(path)
        record = read_journal(path)
        is_over = record.status != "running" or not is_running
        try:
            stream.send(record, status=STATUS[record.status] if is_over else "RUNNING")
        except TrackingError as error:
            log.warning("%s", error)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
            tries_left -= is_over
        else:
            if is_over and not is_written(path):
                return
            pause_s, tries_left = _POLL_S, _LAST_TRIES
        time.sleep(pause_s)


def follow_lock(journal: Path) -> Path:
    """Return the file that the one follower of a journal holds locked."""
    return journal.with_suffix(".follow.lock")


def main(argv: list[str]) -> int:
    """Follow the journal named on the command line; gives the exit code."""
    logging.basicConfig(format="%(asctime)s %(message)s", stream=sys.stderr)
    logging.getLogger("pipeline").setLevel(logging.INFO)
    path = Path(argv[0])
    try:
        params = read_params(Path(PARAMS))
        tracking = load_section(params, "tracking", TrackingParams, path=Path(PARAMS))
        if not tracking.live:
            return 0
        os.nice(_NICENESS)
        with follow_lock(path).open("a") as lock:
            if try_lock(lock, follow_lock(path)):
                follow(path, Stream(path.stem, in_force(params), tracking.experiment))
    except PipelineError as error:
        log.warning("%s", error)
        return error.exit_code
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
