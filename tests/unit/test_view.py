"""The UI opens on what a person compares, and on the plain page where nothing is there yet."""

import json

from pipeline.track.projection import settle_run
from pipeline.track.tracking import connect, tracking_uri
from pipeline.track.view import put_view, view_address, view_state
from tests.published import TRACKING, Project

SERVER = "http://127.0.0.1:5000"


def test_the_main_metrics_and_the_curves_are_the_first_charts():
    state = view_state(["accuracy", "f1_macro"])
    assert state["selectedColumns"][:3] == [
        "metrics.`accuracy`", "metrics.`f1_macro`", "params.`train.strategy`",
    ]  # fmt: skip
    charts = [(each["type"], each["metricKey"]) for each in state["compareRunCharts"]]
    assert charts == [("BAR", "accuracy"), ("BAR", "f1_macro"), ("LINE", "val_loss"),
                      ("LINE", "train_loss")]  # fmt: skip
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
    state = json.loads(tags["mlflow.sharedViewState.rootstock"])
    assert state["selectedColumns"][:2] == ["metrics.`mae`", "metrics.`r2`"]
