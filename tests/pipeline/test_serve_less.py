"""A server that tells less and counts its clients does so in every protocol that it speaks."""

import base64

import pytest

from tests.support.published import RESULTS, Project, use_real_model
from tests.support.serving import Promise, assert_clean, serving

RATE = 12


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    project = use_real_model(Project(tmp_path_factory.mktemp("less")))
    folder = project.folder / RESULTS.model.parent
    options = ("--decimals", "1", "--top-only", "--rate", str(RATE), "--decoders", "1")
    with serving(folder, *options, cwd=project.folder) as running:
        running.picture = (project.folder / RESULTS.raw / "images" / "0.png").read_bytes()
        yield running


def test_no_protocol_tells_more_then_the_client_has_asked_enough(server):
    """One test, since each question counts."""
    text = base64.b64encode(server.picture).decode()
    promise = Promise(server.client.get("/openapi.json").json())
    rows = [server.client.post("/predict", content=server.picture)]
    rows = [promise.check(each) for each in rows]
    pair = {"images": [text, text]}
    rows += promise.check(server.client.post("/predict", json=pair))["predictions"]
    rows += server.client.post("/invocations", json={"instances": [text]}).json()["predictions"]
    v1 = server.client.post("/v1/models/local:predict", json={"instances": [{"b64": text}]})
    rows += v1.json()["predictions"]
    assert len(rows) == 5
    for row in rows:
        assert not [name for name in row if name.startswith("p_")]
        assert row["confidence"] == round(row["confidence"], 1)
    tensor = {"name": "image", "datatype": "BYTES", "shape": [1], "data": [text]}
    v2 = server.client.post("/v2/models/local/infer", json={"inputs": [tensor]})
    told = server.client.get("/v2/models/local").json()
    for tensors in (v2.json()["outputs"], told["outputs"]):
        assert [each["name"] for each in tensors] == ["label", "confidence"]
    tensor_asked = {"inputs": [tensor], "outputs": [{"name": "p_cat"}]}
    assert server.client.post("/v2/models/local/infer", json=tensor_asked).status_code == 422
    explained = server.client.post("/explain", content=server.picture)
    assert (explained.status_code, explained.json()["error"].split(":")[0]) == (
        404,
        "no_explanation",
    )
    model = server.client.get("/model").json()
    assert model["explains"] is False
    assert model["limits"]["per_minute"] == RATE
    for _ in range(RATE):
        last = server.client.post("/predict", content=server.picture)
        assert_clean(last)
        if last.status_code == 429:
            break
    assert promise.check(last)["error"].startswith("rate: ")
    assert 1 <= int(last.headers["retry-after"]) <= 60
    assert server.client.post("/invocations", json=pair).json()["error_code"] == (
        "REQUEST_LIMIT_EXCEEDED"
    )
    assert server.client.get("/ready").status_code == 200
