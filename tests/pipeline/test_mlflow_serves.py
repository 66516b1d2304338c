"""The registered model under MLflow's own server, with a real client."""

import base64
import sys

import httpx
import pytest

from pipeline.track.package import save_model
from pipeline.track.tracking import configure
from tests.published import RESULTS, Project, use_real_model
from tests.servers import Server, answers, free_port
from tests.serving import assert_equal, predictions


@pytest.mark.slow
def test_it_answers_what_the_model_says(tmp_path):
    configure()
    from mlflow.models import Model

    (tmp_path / "project").mkdir()
    project = use_real_model(Project(tmp_path / "project"))
    save_model(tmp_path / "model", model=project.folder / RESULTS.model,
               bundle=project.folder / RESULTS.bundle, card=Model())  # fmt: skip
    files = [(project.folder / RESULTS.raw / f"images/{n}.png").read_bytes() for n in range(3)]
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", str(tmp_path / "model"),
               "--env-manager", "local", "--port", str(port)]  # fmt: skip
    settings = {"MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false", "PYTHONPATH": ""}
    with Server(command, tmp_path / "log", lambda: answers(f"{url}/ping"), env=settings):
        records = [{"image": base64.b64encode(raw).decode()} for raw in [*files, b"<html>"]]
        answer = httpx.post(f"{url}/invocations", json={"dataframe_records": records}, timeout=60)
    assert answer.status_code == 200
    *rows, bad = answer.json()["predictions"]
    for row, expected in zip(rows, predictions(project.folder, files), strict=True):
        assert_equal(row, expected)
        assert row["error"] is None
    assert bad["error"].startswith("not_image: ")
    assert bad["label"] is None
