"""A membership audit has one run, which says what was found, nested in that of its model."""

import json
from pathlib import Path

import pytest
import yaml

from pipeline.ground.errors import ParamsError
from pipeline.ground.files import md5_file, write_json
from pipeline.track.branches.privacy import privacy_result
from pipeline.track.params import TrackingParams
from pipeline.track.result_run import publish_run
from pipeline.track.runs import is_complete

TRACKING = TrackingParams(experiment="cells", required=True, live=False)
OUT = Path("artifacts/privacy")
FILES = {"report": OUT / "report.json", "exposed": OUT / "exposed.csv", "plots": OUT / "plots"}
MODEL = "d" * 32


def record(tpr=0.25):
    """Write what the stage `privacy` and DVC leave."""
    at = {"tpr": tpr, "ci95": {"low": 0.2, "high": 0.3}, "alarms": 6, "found": True}
    write_json(
        FILES["report"],
        {
            "heads": 32,
            "model": {"auc": 0.75, "tpr_at_fpr": {"1_in_100": at}},
            "recipe": {"epsilon_at_least": 1.5, "unit": "item"},
            "promised": None,
            "findings": ["the model as it is: told", "epsilon is at least 1.50"],
        },
    )
    FILES["exposed"].write_text("rank\n")
    FILES["plots"].mkdir(exist_ok=True)
    (FILES["plots"] / "roc.png").write_bytes(b"png")
    params = {"task": "classification", "privacy": {"heads": 32}}
    outs = [
        {"path": str(FILES[name]), "md5": md5_file(FILES[name])} for name in ("report", "exposed")
    ]
    entry = {
        "deps": [{"path": "artifacts/train/model.safetensors", "md5": MODEL}],
        "params": {"params.yaml": params},
        "outs": [*outs, {"path": str(FILES["plots"]), "md5": "9" * 32 + ".dir"}],
    }
    Path("privacy").mkdir(exist_ok=True)
    Path("privacy/dvc.lock").write_text(
        yaml.safe_dump({"schema": "2.0", "stages": {"privacy": entry}})
    )
    Path("params.yaml").write_text(yaml.safe_dump(params))


def publish():
    publish_run(privacy_result(**FILES), TRACKING)


def test_the_run_says_what_was_found_once(repository, tracking, tmp_path_factory):
    record()
    publish()
    publish()
    (run,) = tracking.client.search_runs([tracking.experiment_id])
    metrics, tags = run.data.metrics, run.data.tags
    assert metrics["privacy/model/tpr_at_fpr/1_in_100/tpr"] == 0.25
    assert metrics["privacy/recipe/epsilon_at_least"] == 1.5
    assert run.data.params == {"task": "classification", "privacy.heads": "32"}
    assert (tags["kind"], tags["privacy.model"]) == ("privacy", MODEL)
    assert "epsilon is at least 1.50" in tags["mlflow.note.content"]
    assert is_complete(run)
    folder = tmp_path_factory.mktemp("artifacts")
    tracking.client.download_artifacts(run.info.run_id, "", str(folder))
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert {"results/report.json", "results/exposed.csv", "plots/roc.png"} <= found


def test_another_result_of_the_same_inputs_is_noted_with_its_difference(repository, tracking):
    record()
    publish()
    record(tpr=0.35)
    publish()
    (run,) = tracking.client.search_runs([tracking.experiment_id])
    note = run.data.tags[f"confirmed.{md5_file(FILES['report'])[:8]}"]
    assert json.loads(note)["largest_difference_of_a_figure"] == pytest.approx(0.1)


def test_an_audit_that_never_ran_is_one_line(repository):
    with pytest.raises(ParamsError, match=r"privacy/dvc\.lock: no such file"):
        publish()
