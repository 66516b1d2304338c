"""A registered model of texts: it is verified from raw rows, and MLflow asks it as usual."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from pipeline.publish import publish
from pipeline.track.connection import configure, connect
from pipeline.version.package import save_model
from pipeline.version.registry import VERIFIED
from tests.support.published import REGISTRY, RESULTS, TRACKING, Project
from tests.support.tinytext import predict_texts, use_text_model, write_text_model

TEXTS = ["it is good", "aGVsbG8=", "{'b64': 'aGVsbG8='}", "", "data:,x", "nan"]
FORMS = {
    "inputs": {"inputs": TEXTS},
    "a column of inputs": {"inputs": {"text": TEXTS}},
    "instances": {"instances": TEXTS},
    "split": {"dataframe_split": {"columns": ["text"], "data": [[each] for each in TEXTS]}},
    "records": {"dataframe_records": [{"text": each} for each in TEXTS]},
}
SCRIPT = """
import json, sys
import mlflow.pyfunc
import pandas as pd
from mlflow.pyfunc.scoring_server import invocations
model = mlflow.pyfunc.load_model(sys.argv[1])
schema = model.metadata.get_input_schema()
asked = json.load(sys.stdin)
found = {}
for name, body in asked.items():
    answer = invocations(json.dumps(body), "application/json", model, schema)
    found[name] = json.loads(answer.response).get("predictions", answer.response)
table = pd.DataFrame({"text": asked["inputs"]["inputs"]})
found["a table"] = json.loads(model.predict(table).to_json(orient="records"))
found["bytes"] = json.loads(model.predict(table.map(str.encode)).to_json(orient="records"))
print(json.dumps({"found": found, "columns": schema.to_dict()}))
"""


@pytest.mark.slow
def test_a_version_is_verified_from_the_rows_of_a_table(repository):
    use_text_model(Project(repository))
    publish(RESULTS, TRACKING, REGISTRY)
    client = connect(TRACKING.experiment).client
    (version,) = client.search_model_versions("name = 'cells'")
    assert version.tags[VERIFIED] == "8 items equal to the bit, largest difference 0"


def test_mlflow_asks_with_a_column_of_strings(tmp_path):
    configure()
    from mlflow.models import Model

    write_text_model(tmp_path / "trained")
    files = {name: tmp_path / "trained" / name for name in ("model.safetensors", "bundle.json")}
    save_model(
        tmp_path / "model",
        model=files["model.safetensors"],
        bundle=files["bundle.json"],
        card=Model(),
    )
    assert "tokenizers==" in (tmp_path / "model/requirements.txt").read_text()
    done = subprocess.run(
        [sys.executable, "-I", "-B", "-W", "ignore", "-c", SCRIPT, str(tmp_path / "model")],
        input=json.dumps(FORMS),
        env=os.environ | {"MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["columns"] == [{"type": "string", "name": "text", "required": True}]
    expected = predict_texts(tmp_path / "trained", TEXTS)
    for name, rows in told["found"].items():
        for row, own in zip(rows, expected, strict=True):
            assert (row["label"], row["error"]) == (own["label"], own["error"]), name
            if own["error"] is None:
                assert np.isclose(row["p_good"], own["p_good"], atol=1e-6), name
