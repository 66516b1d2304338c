"""The whole pipeline on real pictures and real weights, run as a user runs it."""

import json
import shutil
import sqlite3

import pytest
import yaml

from tests.support.project import add_small_data, clone, commit, run, set_params, small_project

pytestmark = pytest.mark.slow


def rows(project, query):
    with sqlite3.connect(project / "mlflow.db") as database:
        return database.execute(query).fetchall()


def hashes(project):
    lock = yaml.safe_load((project / "dvc.lock").read_text(encoding="utf-8"))
    return {
        out["path"]: out["md5"]
        for stage in lock["stages"].values()
        for out in stage.get("outs", [])
    }


def published(project):
    runs = rows(project, "select run_uuid, status from runs where lifecycle_stage = 'active'")
    versions = rows(
        project, "select version from model_versions where current_stage != 'Deleted_Internal'"
    )
    aliases = rows(project, "select alias, version from registered_model_aliases order by alias")
    return runs, versions, aliases


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """One project with spaces and non-ASCII letters in its path, built once."""
    folder = tmp_path_factory.mktemp("own dätä")
    small_project(folder, fresh=True)
    done = run(folder, "rootstock", "repro")
    commit(folder, "results")
    folder.joinpath("repro.log").write_text(done.stdout + done.stderr, encoding="utf-8")
    return folder


def test_one_command_gives_a_run_and_a_registered_model(project):
    runs, versions, aliases = published(project)
    assert [status for _, status in runs] == ["FINISHED"]
    assert versions == [(1,)]
    assert aliases == [("candidate", 1), ("champion", 1)]
    run_id = runs[0][0]
    query = "select count(distinct step) from metrics where key = 'train_loss' and run_uuid = "
    curve = rows(project, f"{query}'{run_id}'")
    assert curve == [(3,)]
    summary = (project / "repro.log").read_text(encoding="utf-8")
    assert "accuracy" in summary
    assert "models:/elpv-cells/1" in summary
    metrics = json.loads((project / "artifacts/evaluate/metrics.json").read_text(encoding="utf-8"))
    assert 0.0 <= metrics["accuracy"] <= 1.0
    assert metrics["ci95"]["accuracy"]["low"] <= metrics["accuracy"]


def test_a_second_repro_runs_nothing_but_publish(project):
    before = published(project)
    done = run(project, "rootstock", "repro")
    assert "Running stage 'publish'" in done.stdout
    assert done.stdout.count("Running stage") == 1
    assert published(project) == before


def test_a_deleted_database_comes_back_the_same(project):
    before = published(project)
    (project / "mlflow.db").rename(project / "mlflow.db.old")
    run(project, "rootstock", "repro")
    runs, versions, aliases = published(project)
    assert [status for _, status in runs] == ["FINISHED"]
    assert (versions, aliases) == before[1:]


def test_a_forced_rebuild_gives_the_same_bytes_and_no_second_run(project):
    before, done_before = hashes(project), published(project)
    run(project, "dvc", "repro", "--force")
    assert hashes(project) == before
    assert published(project) == done_before


def test_the_run_cache_restores_an_earlier_result_without_a_second_run(project):
    set_params(project, optim={"lr": 0.01})
    run(project, "dvc", "repro")
    assert len(published(project)[0]) == 2
    run(project, "git", "checkout", "--quiet", "params.yaml")
    run(project, "dvc", "repro")
    runs, versions, _ = published(project)
    assert len(runs) == 2
    assert len(versions) == 2
    run(project, "git", "checkout", "--quiet", ".")


def test_sections_that_change_no_result_run_nothing_but_publish(project):
    set_params(
        project, tracking={"live": False}, machine={"workers": 2}, registry={"verify_items": 8}
    )
    done = run(project, "dvc", "repro")
    assert done.stdout.count("Running stage") == 1
    run(project, "git", "checkout", "--quiet", ".")


def test_a_second_clone_pulls_everything_and_computes_nothing(project, tmp_path):
    remote = tmp_path / "remote"
    run(project, "dvc", "remote", "add", "--default", "--force", "store", str(remote))
    run(project, "dvc", "push", "--quiet")
    commit(project, "a remote")
    second = tmp_path / "second"
    run(tmp_path, "git", "clone", "--quiet", str(project), str(second))
    run(second, "dvc", "pull", "--quiet", "--with-deps", "publish")
    done = run(second, "dvc", "repro")
    assert done.stdout.count("Running stage") == 1
    assert hashes(second) == hashes(project)
    assert [status for _, status in published(second)[0]] == ["FINISHED"]


def test_bad_params_end_in_one_line_and_exit_code_2(project):
    set_params(project, optim={"lr": -1.0})
    done = run(project, "rootstock", "repro", code=2)
    run(project, "git", "checkout", "--quiet", ".")
    assert done.stderr.splitlines()[-1] == (
        "error: params.yaml: optim.lr: must be greater than 0, got -1.0"
    )


def test_an_experiment_is_a_run_but_no_version(project):
    before = published(project)
    run(project, "dvc", "exp", "run", "--set-param", "optim.lr=0.02", "--name", "faster")
    runs, versions, aliases = published(project)
    assert len(runs) == len(before[0]) + 1
    assert (versions, aliases) == before[1:]
    names = {name for (name,) in rows(project, "select name from runs")}
    assert "faster" in names
    run(project, "git", "checkout", "--quiet", ".")


def test_regression_by_params_only(tmp_path):
    project = small_project(tmp_path)
    set_params(
        project,
        task="regression",
        data={"target": "probability"},
        loss={"name": "mse", "label_smoothing": 0.0},
        registry={"metric": "mae"},
    )
    run(project, "rootstock", "repro")
    metrics = json.loads((project / "artifacts/evaluate/metrics.json").read_text(encoding="utf-8"))
    assert {"mae", "rmse", "r2", "mse", "n", "baseline"} <= set(metrics)
    assert published(project)[1] == [(1,)]


def test_split_folders_and_full_training_from_a_resnet_file(tmp_path):
    project = clone(tmp_path)
    raw = add_small_data(project, items=90)
    labels = [line.split(",") for line in (raw / "labels.csv").read_text().splitlines()[1:]]
    folders = project / "data/folders/raw"
    for number, (path, _, _, label, _) in enumerate(labels):
        split = ("train", "train", "valid", "test")[number % 4]
        target = folders / split / label / path.split("/")[1]
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(raw / path, target)
    run(project, "dvc", "add", "--quiet", "data/folders/raw")
    make_resnet(project / "weights" / "resnet18.pth")
    set_params(
        project,
        data={"path": "data/folders/raw", "labels": "data/folders/raw"},
        weights={"source": "file:resnet18.pth", "architecture": "resnet18", "sha256": None},
        transform={"size_px": 64},
        features={"pooled": False, "cut": "none", "views": 1},
        train={"strategy": "full", "start": "zero", "epochs": 1, "batch_size": 8},
        evaluate={"bootstrap": 20},
        machine={"workers": 1, "progress": "none"},
        registry={"verify_items": 4},
    )
    commit(project, "own data")
    run(project, "rootstock", "repro")
    assert published(project)[1] == [(1,)]


def make_resnet(path):
    import torch
    import torchvision

    with torch.random.fork_rng():
        torch.manual_seed(0)
        state = torchvision.models.resnet18(weights=None).state_dict()
    torch.save(state, path)
