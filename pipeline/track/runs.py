"""One MLflow run: found by its tags, written so that writing it again changes nothing.

Names. MLflow allows letters, digits and `_ - . / :` and spaces in the names of metrics and params.
Nested keys are joined with `/` for metrics (the UI makes groups of them), with `.` for params. In a
key of a metric, what is no letter, digit, `_`, `-` or inner space of ASCII becomes `:XX`, the two
hex digits of each of its UTF-8 bytes: the class `a/b` is `a:2Fb`, `:` itself `:3A`. So no two names
fall together, and the rule can be turned back.
"""

import json
import logging
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pipeline.ground.files import sha256_json
from pipeline.repo.history import is_recorded
from pipeline.repo.lock import Lock
from pipeline.track.connection import Tracking

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run as Run

log = logging.getLogger(__name__)

T = TypeVar("T")

COMPLETE = "publish.complete"
"""Tag that a run gets last of all, by `publish`."""

PARENT = "mlflow.parentRunId"
"""Tag of a nested run."""

_METRICS_A_BATCH = 1000
_PARAMS_A_BATCH = 100
_PARAM_CHARS = 6000
_TAG_CHARS = 8000
_NAME_CHARS = 250
_MAX_RUNS = 1000


@dataclass(frozen=True)
class Point:
    """One value of one metric."""

    name: str
    value: float
    step: int
    time_ms: int


def find_runs(tracking: Tracking, tag: str, pattern: str) -> "list[Run]":
    """Return the runs of the experiment, oldest first, that have a tag like an SQL pattern."""
    runs = tracking.client.search_runs(
        [tracking.experiment_id],
        f"tags.`{tag}` LIKE '{pattern}'",
        max_results=_MAX_RUNS,
        order_by=["attributes.start_time ASC"],
    )
    return list(runs)


def all_runs(
    client: "MlflowClient", experiments: Sequence[str], query: str, *, order_by: Sequence[str] = ()
) -> "Iterator[Run]":
    """Return all runs of some experiments that fit a query, page by page."""
    token: str | None = None
    while True:
        page: Any = client.search_runs(
            list(experiments),
            query,
            max_results=_MAX_RUNS,
            order_by=list(order_by),
            page_token=token,
        )
        yield from page
        token = page.token
        if not token:
            return


def download(client: "MlflowClient", run_id: str, path: str, folder: Path) -> Path | None:
    """Return an artifact of a run, brought into a folder; None where the run does not keep it."""
    from mlflow.exceptions import MlflowException

    try:
        return Path(client.download_artifacts(run_id, path, str(folder)))
    except (MlflowException, OSError) as error:
        log.info("run %s: %s cannot be read: %s", run_id, path, error)
        return None


def store_shared(store: Callable[[], object]) -> None:
    """Store what all clones store alike, and once more where another one did in that moment.

    MLflow looks and then inserts, so the database refuses the second of two; now it is there.
    """
    from mlflow.exceptions import MlflowException

    try:
        store()
    except MlflowException:
        store()


def is_complete(run: "Run") -> bool:
    """Return whether `publish` finished with a run."""
    return run.data.tags.get(COMPLETE) == "true"


def confirmed_tag(result_md5: str) -> str:
    """Return the tag of a run that tells what another computation of its inputs came to."""
    return f"confirmed.{result_md5[:8]}"


def utc(time_ms: int | None) -> str:
    """Return a time in ms since 1970, or now, as text in UTC, to the second."""
    seconds = time.time() if time_ms is None else time_ms / 1000
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def log_points(tracking: Tracking, run_id: str, points: Sequence[Point]) -> None:
    """Log the points that the run does not have yet, by name, step and value."""
    known = tracking.client.get_run(run_id).data.metrics
    have = {
        (metric.key, metric.step, metric.value)
        for name in {point.name for point in points} & set(known)
        for metric in tracking.client.get_metric_history(run_id, name)
    }
    from mlflow.entities import Metric

    missing = [
        Metric(point.name, point.value, point.time_ms, point.step)
        for point in points
        if (point.name, point.step, point.value) not in have
    ]
    for batch in _batches(missing, _METRICS_A_BATCH):
        tracking.client.log_batch(run_id, metrics=batch)


def log_params(tracking: Tracking, run_id: str, params: Mapping[str, Any]) -> None:
    """Log the params that the run does not have yet; MLflow lets none be changed."""
    from mlflow.entities import Param

    known = tracking.client.get_run(run_id).data.params
    texts = {name: param_text(value) for name, value in flatten(params).items()}
    missing = [Param(name, text) for name, text in texts.items() if name not in known]
    for batch in _batches(missing, _PARAMS_A_BATCH):
        tracking.client.log_batch(run_id, params=batch)


def set_tags(tracking: Tracking, run_id: str, tags: Mapping[str, str]) -> None:
    """Set tags of a run, all at once; too long ones are cut, and say so."""
    from mlflow.entities import RunTag

    entities = [RunTag(name, cut(value, _TAG_CHARS)) for name, value in tags.items()]
    for batch in _batches(entities, _PARAMS_A_BATCH):
        tracking.client.log_batch(run_id, tags=batch)


def move_commit(
    tracking: Tracking, run_id: str, commit: str, lock: Lock, stages: Iterable[str]
) -> None:
    """Record on a run the commit of its result, and whether that has all that made it.

    Args:
        tracking: The server.
        run_id: The run's.
        commit: The commit.
        lock: Its lock file.
        stages: Those whose code and params make the result.
    """
    found = {
        "git.commit": commit,
        "git.commit.provisional": "false",
        "git.dirty": str(not is_recorded(Path(), commit, lock, stages)).lower(),
        "mlflow.source.git.commit": commit,
    }
    set_tags(tracking, run_id, found)
    log.info("run %s: recorded by commit %s", run_id, commit[:12])


def leaves(
    tree: Mapping[str, Any], path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield (keys, value) of each leaf of a nested mapping, in its order."""
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from leaves(value, (*path, key))
        else:
            yield (*path, key), value


def flatten(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return nested params by their names, the keys joined by dots."""
    return {".".join(path): value for path, value in leaves(params)}


def metric_points(metrics: Mapping[str, Any], *, time_ms: int) -> list[Point]:
    """Return the numbers of metrics.json as points at step 0; null and text are left out."""
    return [
        Point(metric_name(*path), float(value), 0, time_ms)
        for path, value in leaves(metrics)
        if isinstance(value, int | float) and not isinstance(value, bool)
    ]


def curve_points(
    rows: Iterable[Mapping[str, Any]], *, start_ms: int, times: Mapping[int, int] | None = None
) -> list[Point]:
    """Return the rows of a history.csv as points.

    Args:
        rows: With an `epoch` each; a value without text has no point.
        start_ms: Epoch e is said to have ended e ms after this,
        times: but for those whose times are known.
    """
    points = []
    for row in rows:
        epoch = int(row["epoch"])
        time_ms = (times or {}).get(epoch, start_ms + epoch)
        points += [
            Point(metric_name(name), float(value), epoch, time_ms)
            for name, value in row.items()
            if name != "epoch" and value not in ("", None)
        ]
    return points


def metric_name(*keys: str) -> str:
    """Return the name of a metric by its keys; a too long one ends in a hash of the whole."""
    name = "/".join(map(escape, keys))
    if len(name) <= _NAME_CHARS:
        return name
    return f"{name[: _NAME_CHARS - 9]}-{sha256_json(name)[:8]}"


def escape(key: str) -> str:
    """Return a key that MLflow accepts as part of a name; see the module for the rule."""
    text = re.sub(r"^ +| +$|[^A-Za-z0-9_\- ]", _hex, key)
    return text or ":"


def _hex(match: re.Match[str]) -> str:
    return "".join(f":{byte:02X}" for byte in match.group().encode("utf-8", "surrogateescape"))


def param_text(value: Any) -> str:
    """Return a param as text: words as they are, everything else as JSON."""
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True)
    return cut(text, _PARAM_CHARS)


def cut(text: str, limit: int) -> str:
    """Cut a text to a number of characters; a cut one says how long it was."""
    if len(text) <= limit:
        return text
    note = f" ... ({len(text)} characters)"
    return text[: limit - len(note)] + note


def _batches(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
