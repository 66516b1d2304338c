"""How the MLflow UI opens on our runs: the main metrics, and the params in which runs differ.

MLflow itself shows neither in its table, and puts the charts of every group (`baseline/...`,
`ci95/...`) before those of the main metrics. So the experiment gets a saved view, as people make
them by *Views, Save as new view*: a tag of the experiment, opened by its address. Who does not open
it sees MLflow's own table.
"""

import json
import sqlite3
import sys
from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import Any

from pipeline.ground.errors import PipelineError
from pipeline.track.connection import (
    Tracking,
    connect,
    database_file,
    ensure_schema,
    has_database,
    tracking_uri,
)
from pipeline.track.describe import main_metrics
from pipeline.track.runs import store_shared

NAME = "Rootstock"
_KEY = "rootstock"
_TAG = f"mlflow.sharedViewState.{_KEY}"
_PARAMS = ("train.strategy", "optim.lr", "train.epochs", "runtime.seed")
_FREE = ("tracking.", "machine.")
"""Params that change no result."""

_CURVES = ("val_loss", "train_loss")
_RUNS_IN_A_CHART = 20
_RUNS_COMPARED = 100
_MOST_PARAMS = 8
_MOST_METRICS = 3


def put_view(tracking: Tracking, metrics: Mapping[str, Any]) -> None:
    """Store our view in the experiment, where it is not there yet.

    Args:
        tracking: The server.
        metrics: metrics.json of a result.
    """
    tags = tracking.client.get_experiment(tracking.experiment_id).tags
    if _TAG not in tags:
        _store(tracking, view_state(main_metrics(metrics), _PARAMS))


def renew_view(tracking: Tracking) -> None:
    """Store our view anew: by the main metrics and the params of the last runs."""
    runs = tracking.client.search_runs([tracking.experiment_id], max_results=_RUNS_COMPARED)
    metrics = main_metrics({name: 0 for run in runs for name in run.data.metrics})
    _store(tracking, view_state(metrics, differing([run.data.params for run in runs])))


def differing(params: Sequence[Mapping[str, str]]) -> tuple[str, ...]:
    """Return the params in which runs differ, those that people know best first.

    Args:
        params: Of each run, by name; a run may lack some.
    """
    names = {name for each in params for name in each if not name.startswith(_FREE)}
    unlike = {name for name in names if len({each.get(name) for each in params if each}) > 1}
    known = [name for name in _PARAMS if name in unlike]
    return (*known, *sorted(unlike - set(known)))[:_MOST_PARAMS] or _PARAMS


def _store(tracking: Tracking, state: Mapping[str, Any]) -> None:
    saved = {"name": NAME, "createdAt": 0, "updatedAt": 0, "state": json.dumps(state)}
    text = json.dumps(saved)
    store_shared(lambda: tracking.client.set_experiment_tag(tracking.experiment_id, _TAG, text))


def view_state(metrics: Sequence[str], params: Sequence[str]) -> dict[str, Any]:
    """Return the view: columns of the table, and charts in sections.

    Args:
        metrics: By name, the most telling one first.
        params: By name.
    """
    bars = [_chart("BAR", name, "test") for name in metrics]
    lines = [
        _chart("LINE", name, "training") | {"selectedMetricKeys": [name], "xAxisKey": "step"}
        for name in _CURVES
    ]
    return {
        "orderByKey": "attributes.start_time",
        "orderByAsc": False,
        "selectedColumns": [
            *(f"metrics.`{name}`" for name in metrics[:_MOST_METRICS]),
            *(f"params.`{name}`" for name in params),
            "attributes.`Models`",
        ],
        "compareRunCharts": [*bars, *lines],
        "compareRunSections": [_section("test", "Test"), _section("training", "Training")],
        "isAccordionReordered": True,
    }


def view_address(server: str, uri: str, experiment: str) -> str:
    """Return the address of our view in the UI; of the UI as a whole where there is no run yet.

    Args:
        server: Where the UI is, as `http://127.0.0.1:5000`.
        uri: The tracking address; only a sqlite database is looked into.
        experiment: Its name.
    """
    number = _experiment_number(uri, experiment) if uri.startswith("sqlite:///") else None
    if number is None:
        return server
    options = f"workflowType=machine_learning&viewStateShareKey={_KEY}"
    return f"{server}/#/experiments/{number}/runs?{options}"


def _experiment_number(uri: str, name: str) -> int | None:
    query = """select e.experiment_id from experiments e join experiment_tags t
        on t.experiment_id = e.experiment_id where e.name = ? and t.key = ?"""
    try:
        with closing(sqlite3.connect(f"file:{database_file(uri)}?mode=ro", uri=True)) as database:
            row = database.execute(query, (name, _TAG)).fetchone()
    except sqlite3.Error:  # the UI itself will say what is wrong with it
        return None
    return int(row[0]) if row else None


def _chart(kind: str, metric: str, section: str) -> dict[str, Any]:
    return {
        "uuid": f"{kind}-{metric}",
        "type": kind,
        "metricKey": metric,
        "displayName": metric,
        "metricSectionId": section,
        "runsCountToCompare": _RUNS_IN_A_CHART,
        "deleted": False,
        "isGenerated": True,
    }


def _section(key: str, title: str) -> dict[str, Any]:
    return {
        "uuid": key,
        "name": title,
        "display": True,
        "isReordered": True,
        "deleted": False,
        "isGenerated": True,
    }


def main(argv: Sequence[str]) -> int:
    """Renew the view of an experiment and print its address: `view <server> <experiment>`.

    A process of its own does this and ends, since MLflow takes 200 MB to import.
    """
    server, name = argv
    uri = tracking_uri()
    try:
        if has_database(uri):
            renew_view(connect(name))
        elif uri.startswith("sqlite:///"):
            ensure_schema(uri)
    except PipelineError as error:
        sys.stderr.write(f"error: {error}\n")
        return error.exit_code
    sys.stdout.write(view_address(server, uri, name))
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
