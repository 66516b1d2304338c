"""A version works without the repository and predicts what was evaluated, or gets no alias."""

import base64
import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from pipeline.ground.errors import DataError, IntegrityError
from pipeline.ground.stage import run_stage
from pipeline.ground.tables import read_table, write_table
from pipeline.model.bundle import Predictor
from pipeline.promotion.decisions import read_audit
from pipeline.publish import Publication, publish
from pipeline.track.connection import configure, connect
from pipeline.version.package import requirements, save_model
from pipeline.version.registry import DECIDED, DECISION, VERIFIED
from pipeline.version.verify import choose_items, compare
from tests.support.published import REGISTRY, RESULTS, TRACKING, Project, read_note, use_real_model

CLASSES = {"task": "classification", "classes": ["a", "b"], "precision": "fp32"}
VALUES = {"task": "regression", "classes": [], "target_std": 10.0, "precision": "fp32"}


@pytest.fixture
def project(repository):
    return use_real_model(Project(repository))


@pytest.fixture
def client(repository):
    return connect(TRACKING.experiment).client


def versions(client):
    return sorted(client.search_model_versions("name = 'cells'"), key=lambda v: int(v.version))


def aliases(client):
    found = client.get_registered_model("cells").aliases
    return {alias: str(version) for alias, version in found.items()}


@pytest.mark.slow
def test_a_version_is_made_verified_and_becomes_champion_once(project, client):
    publish(RESULTS, TRACKING, REGISTRY)
    (version,) = versions(client)
    assert version.tags[VERIFIED] == "8 items equal to the bit, largest difference 0"
    assert version.tags[DECISION] == "there was no champion yet"
    (decision,) = read_audit()
    assert version.tags[DECIDED] == decision.hash
    assert version.tags["dvc.model"] == project.gathered().keys.model
    assert aliases(client) == {"candidate": "1", "champion": "1"}
    note = read_note(project.folder)
    assert (note["name"], note["version"], note["aliases"]) == (
        "cells",
        "1",
        ["candidate", "champion"],
    )
    assert version.run_id == note["run_id"]

    written = (project.folder / "mlflow.db").read_bytes()
    publish(RESULTS, TRACKING, REGISTRY)
    assert (project.folder / "mlflow.db").read_bytes() == written, "the second time only looks"
    assert read_note(project.folder) == note

    publish_what_is_missing(client, note)


@pytest.mark.slow
def test_two_real_versions_contend_each_by_its_own_code(repository, client):
    """Labels are what the first model says, so it is right on all, and the second is not."""
    project = use_real_model(Project(repository), items=12)
    publish(RESULTS, TRACKING, REGISTRY)
    said = read_table(RESULTS.predictions)["predicted"]
    use_real_model(project, items=12, seed=2)
    table = read_table(RESULTS.predictions)
    write_table(RESULTS.predictions, table.assign(label=said))
    project.set_param("optim", lr=0.5)
    publish(RESULTS, TRACKING, REGISTRY.model_copy(update={"max_latency_ms": 60_000.0}))
    decision = read_audit()[-1]
    assert decision.evidence.get("unfit") is None
    gain = decision.evidence["gains"]["accuracy"]
    assert gain["champion"] == 1.0
    assert gain["candidate"] == (table["predicted"] == said).mean() < 1.0
    assert decision.action == "refuse"
    assert aliases(client) == {"candidate": "2", "champion": "1"}
    measured = decision.evidence["measured"]
    assert measured["bytes"] == RESULTS.model.stat().st_size
    assert 0 < measured["latency_ms"] < 60_000


def publish_what_is_missing(client, note):
    """A kill between registering and the last tag leaves no second version."""
    client.delete_model_version_tag("cells", "1", DECIDED)
    client.delete_registered_model_alias("cells", "candidate")
    publish(RESULTS, TRACKING, REGISTRY)
    assert aliases(client) == {"candidate": "1", "champion": "1"}
    assert len(read_audit()) == 1
    assert len(client.search_logged_models([note["experiment_id"]])) == 1


@pytest.mark.slow
def test_a_regression_under_another_fingerprint_is_asked_for_closeness(repository, client):
    other = {"threads": 64}
    project = use_real_model(Project(repository), task="regression", trained_on=other)
    table = read_table(RESULTS.predictions)
    write_table(RESULTS.predictions, table.assign(value=table["value"] + 1e-4))
    project.record()
    publish(RESULTS, TRACKING, REGISTRY.model_copy(update={"metric": "mae"}))
    (version,) = versions(client)
    assert version.tags[VERIFIED] == "8 items within 0.001, largest difference 0.0004"
    assert version.tags["metric.mae"] == "0.125"


@pytest.mark.slow
def test_a_version_that_predicts_something_else_is_exit_5_and_gets_no_alias(
    project, client, capsys
):
    kept = RESULTS.predictions.read_bytes()
    table = read_table(RESULTS.predictions)
    write_table(
        RESULTS.predictions,
        table.assign(**{"p_c": table["p_c"] + 0.01, "p_a/b": table["p_a/b"] - 0.01}),
    )
    project.record()
    code = run_stage(stage_main(), OPTIONS)
    assert code == 5
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("error: models:/cells/1: does not predict what was evaluated: 8 of 8")
    assert versions(client)[0].tags[VERIFIED].startswith("failed: ")
    assert aliases(client) == {}

    RESULTS.predictions.write_bytes(kept)
    project.record()
    assert run_stage(stage_main(), OPTIONS) == 0
    (version,) = versions(client)
    assert str(version.version) == "2", "the failed one is replaced"
    assert aliases(client) == {"candidate": "2", "champion": "2"}


def stage_main():
    from stages.publish import main

    return main


OPTIONS = [
    word
    for name in (
        "raw",
        "manifest",
        "report",
        "page",
        "normalization",
        "record",
        "model",
        "bundle",
        "history",
        "metrics",
        "predictions",
        "recipe",
        "candidates",
        "kept",
    )
    for word in (f"--{name}", str(getattr(RESULTS, name)))
] + ["--clean-plots", "a", "--normalize-plots", "b", "--evaluate-plots", "c"]


def test_raw_files_that_are_missing_or_changed_are_told(project):
    path = project.folder / RESULTS.raw / "images/3.png"
    kept = path.read_bytes()
    path.unlink()
    with pytest.raises(
        DataError, match=r"images/3\.png: No such file or directory \(run `dvc pull"
    ):
        publish(RESULTS, TRACKING, REGISTRY)
    path.write_bytes(kept + b"\0")
    with pytest.raises(IntegrityError, match=r"images/3\.png: differs from the file"):
        publish(RESULTS, TRACKING, REGISTRY)


def row(p, label=None):
    return {"p_a": p, "p_b": 1 - p, "label": label or ("a" if p >= 0.5 else "b")}


@pytest.mark.parametrize(
    ("evaluated", "got", "is_exact", "is_equal"),
    [
        (0.7, row(0.7), True, True),
        (0.7, row(0.7 + 1e-16), True, False),
        (0.7, row(0.7009), False, True),
        (0.7, row(0.7011), False, False),
        (0.5001, row(0.4999), False, True),
        (0.7, row(0.7, label="b"), False, False),
        (0.7, row(0.7, label="b"), True, False),
        (0.7, {"p_a": None, "p_b": None, "label": None, "error": "truncated"}, False, False),
        (0.7, {}, True, False),
    ],
    ids=[
        "the same bits",
        "the last bit",
        "close",
        "not close",
        "a tie tips",
        "other label",
        "other label, exact",
        "not decoded",
        "no columns",
    ],
)
def test_equality(evaluated, got, is_exact, is_equal):
    table = pd.DataFrame([{"path": "x", "predicted": "a", "p_a": evaluated, "p_b": 1 - evaluated}])
    if evaluated == 0.7 and is_exact and got.get("p_a") == 0.7 + 1e-16:
        got["p_a"] = np.nextafter(0.7, 1)
    found = compare(table, [got], CLASSES, is_exact=is_exact)
    assert (found.wrong == ()) is is_equal


@pytest.mark.parametrize(("got", "is_equal"), [(5.0099, True), (5.0101, False)])
def test_values_are_compared_in_target_deviations(got, is_equal):
    table = pd.DataFrame([{"path": "x", "value": 5.0}])
    assert (compare(table, [{"value": got}], VALUES, is_exact=False).wrong == ()) is is_equal


@pytest.mark.parametrize(("p", "is_equal"), [(0.7099, True), (0.7101, False)])
def test_models_in_bf16_may_differ_more_between_machines(p, is_equal):
    table = pd.DataFrame([{"path": "x", "predicted": "a", "p_a": 0.7, "p_b": 0.3}])
    found = compare(table, [row(p)], CLASSES | {"precision": "bf16"}, is_exact=False)
    assert (found.wrong == ()) is is_equal
    assert str(found).startswith("1 items within 0.01, ")


def test_items_are_chosen_from_test_by_their_ids():
    table = pd.DataFrame(
        {"id": list("cadb"), "path": list("wxyz"), "split": ["test", "test", "val", "test"]}
    )
    assert list(choose_items(table, 2)["id"]) == ["a", "b"]
    assert list(choose_items(table, 99)["id"]) == ["a", "b", "c"]


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory):
    """Save one model folder, away from any registry."""
    configure()
    from mlflow.models import Model

    folder = tmp_path_factory.mktemp("served")
    (folder / "project").mkdir()
    project = use_real_model(Project(folder / "project"))
    model = project.folder / RESULTS.model
    save_model(folder / "model", model=model, bundle=project.folder / RESULTS.bundle, card=Model())
    return folder / "model", project


def test_a_bad_picture_costs_its_own_row_only(model_folder):
    folder, project = model_folder
    good = (project.folder / RESULTS.raw / "images/0.png").read_bytes()
    rows = predict(folder, [good, b"", b"<html>", good[:200], good])
    assert [list(rows[0]), [row["error"] is None for row in rows]] == [
        ["label", "confidence", "p_a/b", "p_c", "error"],
        [True, False, False, False, True],
    ]
    assert rows[0] == rows[4]
    assert rows[1] == {
        "label": None,
        "confidence": None,
        "p_a/b": None,
        "p_c": None,
        "error": "empty: the file has no bytes",
    }
    assert rows[2]["error"].startswith("not_image: it is an HTML page")
    assert rows[3]["error"].startswith("truncated: ")


def test_a_batch_of_nothing_but_bad_pictures_is_answered(model_folder):
    from pipeline.version.served import predict_rows

    _, project = model_folder
    predictor = Predictor.load(project.folder / RESULTS.model, project.folder / RESULTS.bundle)
    (row,) = predict_rows(predictor, [b"no picture"]).to_dict("records")
    assert row["label"] is None
    assert row["error"].startswith("not_image: ")
    (row,) = predict_rows(predictor, [None]).to_dict("records")
    assert row["error"] == "not_bytes: the cell holds NoneType"
    assert len(predict_rows(predictor, [])) == 0


def predict(folder, files):
    """Score as MLflow's server does: base64 in JSON, in a process of its own."""
    script = """
import json, sys
import mlflow.pyfunc
from mlflow.pyfunc.scoring_server import invocations
model = mlflow.pyfunc.load_model(sys.argv[1])
answer = invocations(sys.stdin.read(), "application/json", model, model.metadata.get_input_schema())
sys.stderr.write(answer.response if answer.status != 200 else "")
sys.stdout.write(json.dumps(json.loads(answer.response)["predictions"]))
"""
    rows = [{"image": base64.b64encode(raw).decode()} for raw in files]
    done = subprocess.run(
        [sys.executable, "-I", "-B", "-W", "ignore", "-c", script, str(folder)],
        input=json.dumps({"dataframe_records": rows}),
        env=os.environ | {"MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false"},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_model_folder_holds_no_pickle_and_pins_what_it_needs(model_folder):
    folder, _ = model_folder
    names = {path.name for path in folder.rglob("*")}
    assert {"model.safetensors", "bundle.json", "served.py", "requirements.txt"} <= names
    assert not {name for name in names if name.endswith((".pkl", ".pyc", ".pt", ".pth"))}
    assert (folder / "requirements.txt").read_text().split() == requirements()
    assert all("==" in line and "+" not in line for line in requirements())


def test_what_predicts_is_what_is_pinned(model_folder):
    """Every package that loading and predicting imports is a requirement, or comes with one."""
    folder, project = model_folder
    raw = project.folder / RESULTS.raw / "images/0.png"
    script = (
        "import sys, mlflow.pyfunc, pandas as pd\n"
        "before = set(sys.modules)\n"
        f"model = mlflow.pyfunc.load_model({str(folder)!r})\n"
        f"model.predict(pd.DataFrame({{'image': [open({str(raw)!r}, 'rb').read()]}}))\n"
        "print(*sorted({name.split('.')[0] for name in set(sys.modules) - before}))\n"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-B", "-W", "ignore", "-c", script],
        capture_output=True,
        text=True,
        check=True,
        cwd=folder,
    )
    imported = set(done.stdout.split())
    assert {"torch", "timm", "PIL", "safetensors", "pipeline"} <= imported
    assert not {"dvc", "matplotlib", "elpv_dataset", "stages"} & imported


def test_one_logged_model_behind_two_names(project, client, monkeypatch):
    monkeypatch.setattr("pipeline.publish.verify", lambda *args, **kwargs: "8 items equal")
    publish(RESULTS, TRACKING, REGISTRY)
    publish(RESULTS, TRACKING, REGISTRY.model_copy(update={"name": "other"}))
    sources = {version.source for version in client.search_model_versions()}
    assert len(sources) == 1
    assert len(client.search_registered_models()) == 2


class Killed(BaseException):
    """What a kill looks like from inside: nothing after it runs."""


@pytest.mark.slow
def test_a_registration_killed_after_any_write_is_completed_by_the_next(
    project, mlflow_template, monkeypatch
):
    """The check itself is left out here; it writes nothing."""
    monkeypatch.setattr("pipeline.publish.verify", lambda *args, **kwargs: "8 items equal")
    result = project.gathered()
    result.copy_files(project.folder / "kept")
    for after in range(1, 40):
        shutil.copyfile(mlflow_template, f"{after}.db")
        shutil.rmtree("audit", ignore_errors=True)
        os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{project.folder / str(after)}.db"
        tracking = connect(TRACKING.experiment)
        run = tracking.client.create_run(tracking.experiment_id, tags=result.tags())
        tracking.client.log_artifacts(run.info.run_id, str(project.folder / "kept"))
        was_killed = False
        with monkeypatch.context() as patch:
            die_after(tracking.client, after, patch)
            try:
                Publication(tracking, result, REGISTRY).settle_version(run)
            except Killed:
                was_killed = True
        version = Publication(tracking, result, REGISTRY).settle_version(run)
        assert [v.version for v in versions(tracking.client)] == [version.version]
        assert aliases(tracking.client) == {"candidate": "1", "champion": "1"}
        assert {VERIFIED, DECISION, DECIDED} <= set(version.tags)
        assert [each.hash for each in read_audit()] == [version.tags[DECIDED]]
        (model,) = tracking.client.search_logged_models([tracking.experiment_id])
        assert (model.status, version.source) == ("READY", f"models:/{model.model_id}")
        outputs = tracking.client.get_run(run.info.run_id).outputs.model_outputs
        assert model.model_id in {output.model_id for output in outputs}
        if not was_killed:
            assert after > 8
            return
    raise AssertionError("registering does not end")


def die_after(client, calls, patch):
    """Let the n-th call of a client that writes be the last one."""
    left = [calls]

    def dying(method):
        def call(*args, **kwargs):
            done = method(*args, **kwargs)
            left[0] -= 1
            if left[0] == 0:
                raise Killed
            return done

        return call

    verbs = ("create_", "log_", "set_", "delete_", "finalize_")
    for name in [name for name in dir(client) if name.startswith(verbs)]:
        patch.setattr(client, name, dying(getattr(client, name)))
