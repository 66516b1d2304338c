"""The registered model under MLflow's own server, with a real client."""

import base64
import io
import json
import sys

import httpx
import pandas as pd
import pytest

from pipeline.track.connection import configure
from pipeline.version.package import save_model
from tests.support.published import RESULTS, Project, use_real_model
from tests.support.servers import Server, answers, free_port
from tests.support.serving import assert_equal, predictions

pytestmark = pytest.mark.slow

WRITTEN = {
    "base64": lambda raw: base64.b64encode(raw).decode(),
    "lines": lambda raw: base64.encodebytes(raw).decode().replace("\n", "\r\n"),
    "for URLs": lambda raw: base64.urlsafe_b64encode(raw).decode().rstrip("="),
    "a data URL": lambda raw: "data:image/png;base64," + base64.b64encode(raw).decode(),
}
FORMS = {
    "dataframe_split": lambda texts: {
        "dataframe_split": {"columns": ["image"], "data": [[text] for text in texts]}
    },
    "dataframe_records": lambda texts: {"dataframe_records": [{"image": text} for text in texts]},
    "instances": lambda texts: {"instances": [{"image": text} for text in texts]},
    "instances, a list": lambda texts: {"instances": texts},
    "instances, b64": lambda texts: {"instances": [{"image": {"b64": text}} for text in texts]},
    "inputs": lambda texts: {"inputs": {"image": texts}},
    "inputs, a list": lambda texts: {"inputs": texts},
    "csv": lambda texts: pd.DataFrame({"image": texts}).to_csv(index=False),
}


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return use_real_model(Project(tmp_path_factory.mktemp("project")))


@pytest.fixture(scope="module")
def files(project):
    return [(project.folder / RESULTS.raw / f"images/{n}.png").read_bytes() for n in range(4)]


@pytest.fixture(scope="module")
def ask(project, tmp_path_factory):
    configure()
    from mlflow.models import Model

    folder = tmp_path_factory.mktemp("served")
    save_model(
        folder / "model",
        model=project.folder / RESULTS.model,
        bundle=project.folder / RESULTS.bundle,
        card=Model(),
    )
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = [
        sys.executable,
        "-m",
        "mlflow",
        "models",
        "serve",
        "-m",
        str(folder / "model"),
        "--env-manager",
        "local",
        "--port",
        str(port),
    ]
    settings = {"MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false", "PYTHONPATH": ""}

    def post(content, kind):
        answer = httpx.post(
            f"{url}/invocations", content=content, timeout=60, headers={"content-type": kind}
        )
        assert answer.status_code == 200, answer.text
        return answer.json()["predictions"]

    with Server(command, folder / "log", lambda: answers(f"{url}/ping"), env=settings):
        yield post


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_every_form_answers_what_the_model_says(ask, project, files, form):
    """Each of four pictures is written in another way."""
    content = form([write(raw) for write, raw in zip(WRITTEN.values(), files, strict=True)])
    is_csv = isinstance(content, str)
    rows = ask(
        content if is_csv else json.dumps(content), "text/csv" if is_csv else "application/json"
    )
    for row, expected in zip(rows, predictions(project.folder, files), strict=True):
        assert_equal(row, expected)
        assert row["error"] is None


def test_parquet_holds_the_bytes_themselves(ask, project, files):
    table = io.BytesIO()
    pd.DataFrame({"image": files}).to_parquet(table)
    rows = ask(table.getvalue(), "application/vnd.apache.parquet")
    for row, expected in zip(rows, predictions(project.folder, files), strict=True):
        assert_equal(row, expected)


def test_what_is_no_picture_costs_its_own_row(ask, files):
    cells = [WRITTEN["base64"](files[0]), WRITTEN["base64"](b"<html>"), "*", "http://x/y.png", None]
    records = json.dumps({"dataframe_records": [{"image": cell} for cell in cells]})
    good, *bad = ask(records, "application/json")
    assert good["error"] is None
    errors = [
        "not_image: it is an HTML page",
        "base64: it has a character outside base64 at byte 0",
        "address: it is an address",
        "not_bytes: the cell holds NoneType",
    ]
    for row, error in zip(bad, errors, strict=True):
        assert row["error"].startswith(error)
        assert row["label"] is None
