"""A model by any of its names is the same folder here, whole and unaltered."""

import logging
import shutil

import pytest

from pipeline.ground.errors import IntegrityError, ParamsError, TrackingError
from pipeline.ground.files import md5_file, sha256_file
from pipeline.publish import publish
from pipeline.track.connection import connect
from pipeline.version import fetch
from pipeline.version.fetch import fetch_model, resolve
from tests.support.closure import ROOT
from tests.support.published import REGISTRY, RESULTS, TRACKING, Project, read_note, use_real_model


@pytest.fixture
def project(repository, monkeypatch):
    monkeypatch.setattr("pipeline.publish.verify", lambda *args, **kwargs: "8 items equal")
    project = use_real_model(Project(repository))
    publish(RESULTS, TRACKING, REGISTRY)
    return project


def test_every_name_of_a_version_gives_the_one_folder_downloaded_once(project, monkeypatch):
    md5 = md5_file(RESULTS.model)
    found = fetch_model("models:/cells@champion")
    assert (found.uri, found.name, found.version, found.md5) == (
        "models:/cells/1",
        "cells",
        "1",
        md5,
    )
    assert found.folder == project.folder / ".rootstock/models" / f"cells-1-{md5[:12]}"
    assert sha256_file(found.model) == sha256_file(RESULTS.model)
    assert sha256_file(found.bundle) == sha256_file(RESULTS.bundle)
    assert (found.code / "pipeline/model/engine.py").exists()
    monkeypatch.setattr(fetch, "_download", None)
    run = read_note(project.folder)["run_id"]
    for name in ("models:/cells/1", "models:/cells@candidate", run, run[:8]):
        assert fetch_model(name) == found
        assert resolve(name).md5 == md5

    offline(found, monkeypatch)


def offline(found, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    assert fetch_model("models:/cells/1") == found
    for name in ("models:/cells@champion", "models:/cells/2"):
        with pytest.raises(TrackingError, match=r"http://127\.0\.0\.1:9: "):
            fetch_model(name)


def test_a_version_without_its_server_is_told_in_the_log(project, monkeypatch, caplog):
    fetch_model("models:/cells/1")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    with caplog.at_level(logging.WARNING):
        fetch_model("models:/cells/1")
    assert "models:/cells/1 is taken as it was downloaded before" in caplog.text


def test_what_was_altered_here_is_exit_5_also_without_the_server(project, monkeypatch):
    found = fetch_model("models:/cells/1")
    kept = found.model.read_bytes()
    found.model.write_bytes(kept[:-1] + bytes([kept[-1] ^ 1]))
    with pytest.raises(IntegrityError, match=r"model\.safetensors: is not as it was downloaded"):
        fetch_model("models:/cells/1")
    found.model.write_bytes(kept)
    (found.code / "pipeline/sneaked.py").write_text("")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    with pytest.raises(IntegrityError, match=r"sneaked\.py: is not as it was downloaded") as caught:
        fetch_model("models:/cells/1")
    assert caught.value.exit_code == 5


def test_what_was_altered_on_the_server_is_exit_5_and_leaves_nothing(project):
    (stored,) = (project.folder / "mlflow-artifacts").rglob("model.safetensors")
    stored.write_bytes(stored.read_bytes() + b"\0")
    with pytest.raises(IntegrityError, match=r"models:/cells/1: model\.safetensors: must hold the"):
        fetch_model("models:/cells@champion")
    assert list((project.folder / ".rootstock/models").iterdir()) == []
    shutil.rmtree(project.folder / "mlflow-artifacts")
    with pytest.raises(TrackingError, match="cannot give the files of models:/cells/1"):
        fetch_model("models:/cells@champion")
    assert list((project.folder / ".rootstock/models").iterdir()) == []


def test_what_is_not_there_is_exit_2(project):
    with pytest.raises(ParamsError, match="no such version"):
        fetch_model("models:/cells@nobody")
    with pytest.raises(ParamsError, match="no such run or file"):
        fetch_model("nobody")
    with pytest.raises(ParamsError, match=r"must hold model\.safetensors and bundle\.json"):
        fetch_model("data")
    tracking = connect(TRACKING.experiment)
    run = tracking.client.create_run(tracking.experiment_id, run_name="bare")
    with pytest.raises(ParamsError, match="bare: must have a registered version"):
        fetch_model("bare")
    tracking.client.set_terminated(run.info.run_id)
    tracking.client.delete_model_version_tag("cells", "1", "dvc.model")
    with pytest.raises(
        ParamsError, match=r"models:/cells/1: must be a version that `publish` made"
    ):
        resolve("models:/cells/1")


def test_a_folder_needs_no_server_and_runs_the_present_code(project, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    found = fetch_model("artifacts/train")
    assert (found.uri, found.name, found.version) == ("artifacts/train", None, None)
    assert found.md5 == md5_file(RESULTS.model)
    assert (found.model, found.bundle, found.code) == (RESULTS.model, RESULTS.bundle, ROOT)


@pytest.mark.parametrize("name", ["model.safetensors", "bundle.json"])
@pytest.mark.parametrize("place", ["", "artifacts/"])
@pytest.mark.parametrize("is_there", ["absent", "a folder"])
def test_a_folder_without_our_files_is_exit_2(tmp_path, name, place, is_there):
    """Also where MLmodel says that another program logged a model there."""
    (tmp_path / "artifacts").mkdir()
    for each in ("model.safetensors", "bundle.json"):
        (tmp_path / place / each).write_bytes(b"x")
    if place:
        (tmp_path / "MLmodel").write_text("flavors: {sklearn: {}}\n")
    (tmp_path / place / name).unlink()
    if is_there == "a folder":
        (tmp_path / place / name).mkdir()
    with pytest.raises(ParamsError, match=f"must hold .*, and has no {place}{name} "):
        fetch_model(str(tmp_path))


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("artifacts/nothing", "must be a folder .*, and is not there"),
        ("./nothing", "and is not there"),
        ("model.safetensors", "and is a file"),
    ],
)
def test_a_path_that_is_no_folder_needs_no_server_either(tmp_path, monkeypatch, what, message):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    (tmp_path / "model.safetensors").touch()
    with pytest.raises(ParamsError, match=message):
        fetch_model(what)
