"""Side branches and search on a real project: own runs, once, and nothing else disturbed."""

import json
import sqlite3

import pandas as pd
import pytest
import yaml

from tests.support.project import commit, run, set_params, small_project

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    folder = small_project(tmp_path_factory.mktemp("branches") / "p", items=100)
    set_params(
        folder,
        features={"cut": "conv_head", "views": 2},
        crossval={"folds": 2, "val_frac": 0.3},
        suspects={"folds": 3, "epochs": 10, "look_alike": 0.9},
        explain={"checked": 4, "randomizations": 1, "shown": 2, "min_slice": 5},
        privacy={"heads": 8, "epochs": 5},
        tune={"space": {"optim.lr": {"low": 0.0001, "high": 0.01, "log": True}}},
    )
    run(folder, "dvc", "repro")
    commit(folder, "results")
    return folder


def runs(project, kind):
    """Give (name, run id, parent, complete) of the runs of a kind."""
    query = """select r.name, r.run_uuid, p.value, c.value from runs r
        join tags k on k.run_uuid = r.run_uuid and k.key = 'kind'
        left join tags p on p.run_uuid = r.run_uuid and p.key = 'mlflow.parentRunId'
        left join tags c on c.run_uuid = r.run_uuid and c.key = 'publish.complete'
        where r.lifecycle_stage = 'active' and k.value = ? order by r.name"""
    with sqlite3.connect(project / "mlflow.db") as database:
        return database.execute(query, (kind,)).fetchall()


def metric(project, run_id, name):
    query = "select value from latest_metrics where run_uuid = ? and key = ?"
    with sqlite3.connect(project / "mlflow.db") as database:
        return database.execute(query, (run_id, name)).fetchone()[0]


def test_cross_validation_is_one_run_with_a_nested_one_for_each_fold(project):
    done = run(project, "dvc", "repro", "crossval/dvc.yaml:publish")
    assert "Running stage 'features'" not in done.stdout
    assert "2 folds, " in done.stderr + done.stdout
    found = runs(project, "crossval")
    (parent,) = [each for each in found if each[2] is None]
    nested = [each for each in found if each[2] == parent[1]]
    assert [name for name, *_ in nested] == ["repeat-1-fold-1", "repeat-1-fold-2"]
    assert {complete for *_, complete in found} == {"true"}
    metrics = json.loads((project / "artifacts/crossval/metrics.json").read_text(encoding="utf-8"))
    assert metric(project, parent[1], "accuracy") == metrics["mean"]["accuracy"]
    for name, run_id, *_ in nested:
        assert metric(project, run_id, "accuracy") == metrics["fold"][name]["accuracy"]
        assert metric(project, run_id, "val_loss") > 0
    table = pd.read_parquet(project / "artifacts/crossval/predictions.parquet")
    assert set(table["split"]) == {"train", "val"}
    run(project, "git", "ls-files", "--error-unmatch", "dvc.lock")
    status = run(project, "git", "status", "--short", "--untracked-files=all").stdout
    assert "artifacts/crossval/metrics.json" in status
    assert "predictions.parquet" not in status


def test_again_it_runs_nothing_and_the_same_run_is_found_in_a_new_database_too(project):
    before = runs(project, "crossval")
    done = run(project, "dvc", "repro", "crossval/dvc.yaml:publish")
    assert "Running stage 'crossval/dvc.yaml:crossval'" not in done.stdout
    assert runs(project, "crossval") == before
    (project / "mlflow.db").rename(project / "aside.db")
    run(project, "dvc", "repro", "crossval/dvc.yaml:publish")
    assert [name for name, *_ in runs(project, "crossval")] == [name for name, *_ in before]
    (project / "aside.db").replace(project / "mlflow.db")


def test_the_main_pipeline_does_not_know_of_the_branch(project):
    set_params(project, crossval={"folds": 3}, suspects={"folds": 4})
    done = run(project, "dvc", "repro")
    assert done.stdout.count("Running stage") == 1
    run(project, "git", "checkout", "--quiet", "params.yaml")


def test_suspects_are_one_run_and_are_listed_for_people(project):
    done = run(project, "dvc", "repro", "suspects/dvc.yaml:publish")
    assert "Running stage 'features'" not in done.stdout
    assert "suspects among 100 items: label " in done.stderr + done.stdout
    ((name, run_id, parent, complete),) = runs(project, "suspects")
    assert (name.split("-")[0], parent, complete) == ("suspects", None, "true")
    out = project / "artifacts/suspects"
    report = json.loads((out / "report.json").read_text(encoding="utf-8"))
    assert metric(project, run_id, "noise/wrong") == report["noise"]["wrong"]
    table = pd.read_parquet(out / "suspects.parquet")
    assert len(table) == sum(sum(each.values()) for each in report["suspects"].values())
    assert len(list((out / "sheets").glob("*.png"))) == 8
    status = run(project, "git", "status", "--short", "--untracked-files=all").stdout
    assert "artifacts/suspects/report.json" in status
    assert "suspects.parquet" not in status
    done = run(project, "dvc", "repro", "suspects/dvc.yaml:publish")
    assert "Running stage 'suspects/dvc.yaml:suspects'" not in done.stdout
    assert len(runs(project, "suspects")) == 1


def test_an_explanation_is_one_run_with_a_model_card(project):
    done = run(project, "dvc", "repro", "explain/dvc.yaml:publish")
    assert "Running stage 'train'" not in done.stdout
    assert "The outer border is " in done.stderr + done.stdout
    ((name, run_id, parent, complete),) = runs(project, "explain")
    assert (name.split("-")[0], complete) == ("explain", "true")
    main = json.loads((project / "artifacts/evaluate/metrics.json").read_text(encoding="utf-8"))
    assert metric(project, parent, "accuracy") == main["accuracy"]
    out = project / "artifacts/explain"
    report = json.loads((out / "report.json").read_text(encoding="utf-8"))
    assert (
        metric(project, run_id, "explain/calibration/after/ece")
        == (report["calibration"]["after"]["ece"])
    )
    assert {each["column"] for each in report["slices"]["slices"]} >= {"module_type"}
    card = (out / "card.md").read_text(encoding="utf-8")
    assert "is about data/elpv/raw, and the data are data/small/raw" in card
    assert len(list((out / "plots").glob("sheet-*.jpg"))) == 2
    status = run(project, "git", "status", "--short", "--untracked-files=all").stdout
    assert "artifacts/explain/report.json" in status
    assert "card.html" not in status
    done = run(project, "dvc", "repro", "explain/dvc.yaml:publish")
    assert "Running stage 'explain/dvc.yaml:explain'" not in done.stdout
    assert len(runs(project, "explain")) == 1


def test_a_membership_audit_is_one_run_under_the_model(project):
    done = run(project, "dvc", "repro", "privacy/dvc.yaml:publish")
    assert "Running stage 'train'" not in done.stdout
    assert "the model as it is: AUC " in done.stderr + done.stdout
    ((name, run_id, parent, complete),) = runs(project, "privacy")
    assert (name.split("-")[0], complete) == ("privacy", "true")
    main = json.loads((project / "artifacts/evaluate/metrics.json").read_text(encoding="utf-8"))
    assert metric(project, parent, "accuracy") == main["accuracy"]
    out = project / "artifacts/privacy"
    report = json.loads((out / "report.json").read_text(encoding="utf-8"))
    assert metric(project, run_id, "privacy/model/auc") == report["model"]["auc"]
    assert (out / "plots/exposed.png").exists()
    status = run(project, "git", "status", "--short", "--untracked-files=all").stdout
    assert "artifacts/privacy/report.json" in status
    assert "exposed.csv" not in status
    done = run(project, "dvc", "repro", "privacy/dvc.yaml:publish")
    assert "Running stage 'privacy/dvc.yaml:privacy'" not in done.stdout
    assert len(runs(project, "privacy")) == 1


def test_a_suspect_is_decided_by_a_person_and_the_report_says_so(project):
    table = pd.read_parquet(project / "artifacts/suspects/suspects.parquet")
    first = table[(table["reason"] == "label") & (table["split"] != "test")].iloc[0]
    run(project, "rootstock", "review", "--first", "1", "--append")
    file = project / "review/small.csv"
    done = run(project, "dvc", "repro", "clean", code=255)
    assert "error: review/small.csv:2: column 'decision': must be keep, drop" in done.stderr
    text = file.read_text(encoding="utf-8")
    assert first["id"] in text
    decided = f",relabel:{first['suggested']},eva,2026-01-01,"
    file.write_text(text.replace(",,,,", decided), encoding="utf-8")
    run(project, "dvc", "repro", "clean")
    report = json.loads((project / "artifacts/clean/report.json").read_text(encoding="utf-8"))
    assert report["review"]["items"] == {"keep": 0, "drop": 0, "relabel": 1}
    assert report["review"]["decisions"][0]["label"] == first["label"]
    file.unlink()
    run(project, "dvc", "repro", "clean")
    run(project, "git", "diff", "--exit-code", "--stat", "dvc.lock", "artifacts/clean/report.json")


def test_too_many_folds_are_one_line(project):
    set_params(project, crossval={"folds": 60})
    done = run(project, "dvc", "repro", "crossval/dvc.yaml", code=255)
    assert "error: params.yaml: crossval.folds: must be below" in done.stderr
    assert "Traceback" not in done.stderr
    run(project, "git", "checkout", "--quiet", "params.yaml")


def test_a_search_has_a_run_for_each_trial_and_goes_on(project):
    done = run(project, "rootstock", "tune", "--trials", "2")
    assert "trial 2 of 2: " in done.stderr
    first = runs(project, "tune")
    (parent,) = [each for each in first if each[2] is None]
    assert [name for name, *_ in first if name.startswith("trial")] == ["trial-000", "trial-001"]
    done = run(project, "rootstock", "tune", "--trials", "3")
    assert "going on after 2 of 3 trials" in done.stderr
    found = runs(project, "tune")
    assert [each for each in found if each in first] == first
    assert len(found) == 4
    assert parent in found


def test_the_winner_is_a_diff_and_is_written_on_request(project):
    path = project / "params.yaml"
    before = path.read_text(encoding="utf-8")
    done = run(project, "rootstock", "tune", "--trials", "3")
    assert path.read_text(encoding="utf-8") == before
    applied = run(project, "rootstock", "tune", "--trials", "3", "--apply")
    after = path.read_text(encoding="utf-8")
    if "Nothing is better" in done.stdout:
        assert after == before
    else:
        assert "+  lr: " in done.stdout
        assert "params.yaml has the winner" in applied.stdout
        changed = yaml.safe_load(after)
        assert changed["optim"]["lr"] != yaml.safe_load(before)["optim"]["lr"]
    run(project, "git", "checkout", "--quiet", "params.yaml")


def test_a_search_on_stale_features_is_one_line(project):
    set_params(project, features={"views": 3})
    done = run(project, "rootstock", "tune", code=2)
    assert done.stderr.splitlines()[-1].startswith(
        "error: params.yaml: features: has changed since `features` ran"
    )
    run(project, "git", "checkout", "--quiet", "params.yaml")
