"""Trainings that only a local journal tells of: each gets the run that it would have streamed."""

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.ground.errors import DataError
from pipeline.keys.journal import Record, is_written, journal_path, read_journal
from pipeline.past.servers import Known, Servers, Synced
from pipeline.track.connection import publishing, translated_errors
from pipeline.track.follow import STATUS, Stream
from pipeline.track.runs import find_runs, is_complete, metric_name

if TYPE_CHECKING:
    from mlflow.entities import Run

_KIND = "journal"
_SHORT = 7


def bring_journals(
    servers: Servers, experiment: str, recorded: Collection[str], *, dry_run: bool
) -> Iterator[Synced]:
    """Stream the journals of trainings that have no run and that no commit records.

    Args:
        servers: What MLflow has.
        experiment: Of MLflow; a journal does not say to which one it belongs.
        recorded: The `dvc.train` of all results of the history.
        dry_run: Only look.

    Raises:
        TrackingError: The server is away.
    """
    known = servers.at(experiment)
    folder = journal_path("x").parent
    for path in sorted(folder.glob("*.jsonl"), key=lambda each: each.stat().st_mtime_ns):
        if path.stem not in recorded and not is_written(path):
            yield _bring(path, known, experiment, dry_run=dry_run)


def _bring(path: Path, known: Known, experiment: str, *, dry_run: bool) -> Synced:
    key = path.stem
    name = f"training-{key[:_SHORT]}"
    try:
        record = read_journal(path)
    except DataError as error:
        return Synced(_KIND, name, "", "missing", note=str(error))
    if (run := _repeated(known, key, record)) is not None:
        return Synced(_KIND, run.info.run_name, "", "there")
    if known.tracking is None:
        return Synced(_KIND, name, "", "would be made")
    with translated_errors(known.tracking.uri):
        if found := find_runs(known.tracking, "dvc.train", key):
            is_dead = found[0].info.status == "RUNNING" and not is_complete(found[0])
            if is_dead and not dry_run:
                status = STATUS[record.status]
                Stream(key, _params(record), experiment).send(record, status=status)
            return Synced(_KIND, found[0].info.run_name, "", "ended" if is_dead else "there")
    if dry_run:
        return Synced(_KIND, name, "", "would be made")
    with publishing():
        Stream(key, _params(record), experiment).send(record, status=STATUS[record.status])
    return Synced(_KIND, name, "", "made")


def _repeated(known: Known, key: str, record: Record) -> "Run | None":
    """Find the complete run of a training, or of one that went the same way to the last bit."""
    last = record.epochs[-1].values if record.epochs else {}
    wanted = {metric_name(name): value for name, value in last.items() if value is not None}
    for run in known.runs.values():
        metrics = run.data.metrics
        is_same = wanted and all(metrics.get(name) == value for name, value in wanted.items())
        if is_same or run.data.tags.get("dvc.train") == key:
            return run
    return None


def _params(record: Record) -> dict[str, Any]:
    """Return the params that the journal tells; params.yaml may have changed since."""
    return dict(record.info.get("params", {}))
