"""How the MLflow UI opens on our runs: numbers and params first that a person compares.

MLflow itself would show neither metrics nor params in its table, and put the charts of every group
(`baseline/...`, `ci95/...`) before those of the main metrics. A shared view, which is a tag of the
experiment, is opened by its address, and changes nothing for those who have a view of their own.
"""

import json
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import Any

from pipeline.track.describe import main_metrics
from pipeline.track.runs import store_shared
from pipeline.track.tracking import Tracking, database_file

_KEY = "rootstock"
_TAG = f"mlflow.sharedViewState.{_KEY}"
_PARAMS = ("train.strategy", "optim.lr", "train.epochs", "runtime.seed")
_CURVES = ("val_loss", "train_loss")
_RUNS_IN_A_CHART = 20


def put_view(tracking: Tracking, metrics: Mapping[str, Any]) -> None:
    """Give the experiment our view, where it has none of the kind.

    Args:
        tracking: The server.
        metrics: metrics.json of a result.
    """
    tags = tracking.client.get_experiment(tracking.experiment_id).tags
    if _TAG not in tags:
        text = json.dumps(view_state(main_metrics(metrics)))
        store_shared(lambda: tracking.client.set_experiment_tag(tracking.experiment_id, _TAG, text))


def view_state(metrics: Sequence[str]) -> dict[str, Any]:
    """Give the view: columns of the table, and charts in sections.

    Args:
        metrics: By name, the most telling one first.
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
            *(f"metrics.`{name}`" for name in metrics[:4]),
            *(f"params.`{name}`" for name in _PARAMS),
            "attributes.`Models`",
        ],
        "compareRunCharts": [*bars, *lines],
        "compareRunSections": [_section("test", "Test"), _section("training", "Training")],
        "isAccordionReordered": True,
    }


def view_address(server: str, uri: str, experiment: str) -> str:
    """Give the address of our view in the UI; of the UI as a whole where there is no run yet.

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
