"""The UI opens on what a person compares, and on the plain page where nothing is there yet."""

import json

import pytest

from pipeline.track.connection import connect, tracking_uri
from pipeline.track.result_run import settle_run
from pipeline.track.view import differing, main, put_view, renew_view, view_address, view_state
from tests.support.published import TRACKING, Project

SERVER = "http://127.0.0.1:5000"


def test_the_main_metrics_and_the_curves_are_the_first_charts():
    state = view_state(["accuracy", "f1_macro"], ["train.strategy"])
    assert state["selectedColumns"][:3] == [
        "metrics.`accuracy`",
        "metrics.`f1_macro`",
        "params.`train.strategy`",
    ]
    charts = [(each["type"], each["metricKey"]) for each in state["compareRunCharts"]]
    assert charts == [
        ("BAR", "accuracy"),
        ("BAR", "f1_macro"),
        ("LINE", "val_loss"),
        ("LINE", "train_loss"),
    ]
    sections = [each["uuid"] for each in state["compareRunSections"]]
    assert {each["metricSectionId"] for each in state["compareRunCharts"]} == set(sections)


def test_the_address_is_that_of_the_experiment_once_it_has_a_run(repository):
    assert view_address(SERVER, tracking_uri(), "cells") == SERVER
    tracking = connect(TRACKING.experiment)
    assert view_address(SERVER, tracking_uri(), "cells") == SERVER
    settle_run(tracking, Project(repository).outcome())
    assert view_address(SERVER, tracking_uri(), "cells") == (
        f"{SERVER}/#/experiments/{tracking.experiment_id}/runs?workflowType=machine_learning"
        "&viewStateShareKey=rootstock"
    )


def test_a_database_that_is_none_leaves_the_plain_address(repository):
    (repository / "mlflow.db").write_text("nothing")
    assert view_address(SERVER, tracking_uri(), "cells") == SERVER
    assert view_address(SERVER, "postgresql://x/y", "cells") == SERVER


def test_a_view_that_is_there_stays(repository):
    tracking = connect(TRACKING.experiment)
    put_view(tracking, {"mae": 0.1, "r2": 0.5, "n": 3})
    put_view(tracking, {"accuracy": 0.1})
    tags = tracking.client.get_experiment(tracking.experiment_id).tags
    saved = json.loads(tags["mlflow.sharedViewState.rootstock"])
    assert saved["name"] == "Rootstock"
    state = json.loads(saved["state"])
    assert state["selectedColumns"][:2] == ["metrics.`mae`", "metrics.`r2`"]


DIFFERING = {
    "one differs": (
        [{"optim.lr": "0.1", "a.b": "1"}, {"optim.lr": "0.2", "a.b": "1"}],
        ("optim.lr",),
    ),
    "known ones first": (
        [{"a.b": "1", "train.strategy": "top"}, {"a.b": "2", "train.strategy": "head"}],
        ("train.strategy", "a.b"),
    ),
    "one run lacks it": ([{"a.b": "1"}, {"a.b": "1", "c.d": "2"}], ("c.d",)),
    "what changes no result": (
        [{"machine.workers": "1", "a.b": "1"}, {"machine.workers": "2", "a.b": "2"}],
        ("a.b",),
    ),
    "a run that has none yet": (
        [{"a.b": "1"}, {}],
        ("train.strategy", "optim.lr", "train.epochs", "runtime.seed"),
    ),
}


@pytest.mark.parametrize("case", DIFFERING)
def test_the_params_in_which_runs_differ_are_columns(case):
    params, names = DIFFERING[case]
    assert differing(params) == names


def test_the_view_follows_the_runs(repository, capsys):
    tracking = connect(TRACKING.experiment)
    settle_run(tracking, Project(repository).outcome())
    other = tracking.client.create_run(tracking.experiment_id)
    tracking.client.log_param(other.info.run_id, "optim.lr", "0.7")
    tracking.client.log_metric(other.info.run_id, "accuracy", 0.5)
    renew_view(tracking)
    tags = tracking.client.get_experiment(tracking.experiment_id).tags
    columns = json.loads(json.loads(tags["mlflow.sharedViewState.rootstock"])["state"])
    assert "params.`optim.lr`" in columns["selectedColumns"]
    assert main([SERVER, "cells"]) == 0
    assert capsys.readouterr().out.endswith("viewStateShareKey=rootstock")
