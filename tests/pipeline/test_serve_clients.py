"""What web clients, other servers' clients, monitors and browsers send: a table for each kind."""

import base64
import gzip
import json
import math
import re
import shutil
import socket
import struct
import subprocess
import textwrap
import zlib
from urllib.parse import quote

import httpx
import pytest

from pipeline.cli import main
from tests.support.published import RESULTS, Project, use_real_model
from tests.support.serving import Promise, as_json, assert_clean, assert_equal, predictions, serving

TOKEN, SPARE = "0123456789abcdef", "spare-token-of-24-letters"
ORIGIN = "https://app.example.org"
MOST_BYTES, MOST_PICTURES = 300_000, 4
JSON, FORM = "application/json", "multipart/form-data; boundary=b"


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return use_real_model(Project(tmp_path_factory.mktemp("clients")))


@pytest.fixture(scope="module")
def server(project):
    """It asks for a token, and every client below sends it unless it is about tokens."""
    tokens = project.folder / "tokens"
    tokens.write_text(f"# for tests\n{SPARE}\n")
    options = (
        "--max-bytes",
        MOST_BYTES,
        "--max-pictures",
        MOST_PICTURES,
        "--decoders",
        1,
        "--token-file",
        tokens,
        "--cors-origin",
        ORIGIN,
        "--cors-origin",
        "http://localhost:3000/",
    )
    with serving(
        "artifacts/train", *map(str, options), cwd=project.folder, env={"ROOTSTOCK_TOKEN": TOKEN}
    ) as running:
        running.client.headers["authorization"] = f"Bearer {TOKEN}"
        yield running


@pytest.fixture(scope="module")
def promise(server):
    return Promise(server.client.get("/openapi.json").json())


def picture(folder, number=0):
    return (folder / RESULTS.raw / f"images/{number}.png").read_bytes()


@pytest.fixture(scope="module")
def expected(project):
    return predictions(project.folder, [picture(project.folder, n) for n in range(3)])


def b64(raw):
    return base64.b64encode(raw).decode()


def form(*parts):
    lines = [
        b"--b\r\nContent-Disposition: form-data; " + head + b"\r\n\r\n" + raw + b"\r\n"
        for head, raw in parts
    ]
    return b"".join(lines) + b"--b--\r\n"


def bare_deflate(raw):
    engine = zlib.compressobj(wbits=-15)
    return engine.compress(raw) + engine.flush()


FILE = b'name="file"; filename="a.png"'
TINY = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg=="
)
ONE = {
    "no type": lambda raw: (raw, None),
    "curl's type": lambda raw: (raw, "application/x-www-form-urlencoded"),
    "another type": lambda raw: (raw, "video/mp4"),
    "binary/octet-stream": lambda raw: (raw, "binary/octet-stream"),
    "a form": lambda raw: (form((FILE, raw)), FORM),
    "a form, a type for the part": lambda raw: (
        form((b'name="x"\r\nContent-Type: image/png', raw)),
        FORM,
    ),
    "a form, a name in UTF-8": lambda raw: (
        form(('name="bild"; filename="größe ü.png"'.encode(), raw)),
        FORM,
    ),
    "a form, RFC 5987": lambda raw: (
        form((b"name=\"f\"; filename*=UTF-8''gr%C3%B6%C3%9Fe.png", raw)),
        FORM,
    ),
    "a form, bytes in a field": lambda raw: (form((b'name="file"', raw)), FORM),
    "a form with other fields": lambda raw: (
        form((b'name="note"', b"hello"), (FILE, raw), (b'name="empty"; filename=""', b"")),
        FORM,
    ),
    "a form, a data URL in a field": lambda raw: (
        form((b'name="canvas"', b"data:image/png;base64," + base64.b64encode(raw))),
        FORM,
    ),
    "a form, base64 in a file": lambda raw: (form((FILE, base64.encodebytes(raw))), FORM),
    "a page's form": lambda raw: (
        f"note=1&image={quote('data:image/png;base64,' + b64(raw), safe='')}".encode(),
        "application/x-www-form-urlencoded",
    ),
    "curl -d image=base64, not escaped": lambda raw: (
        f"image={b64(raw)}".encode(),
        "application/x-www-form-urlencoded",
    ),
    "base64 as text": lambda raw: (base64.encodebytes(raw), "text/plain"),
    "base64 as a picture": lambda raw: (base64.b64encode(raw), "image/png"),
    "a data URL as text": lambda raw: (b"data:image/png;base64," + base64.b64encode(raw), None),
    "JSON, image": lambda raw: (json.dumps({"image": b64(raw)}), JSON),
    "JSON, image in an object": lambda raw: (json.dumps({"image": {"b64": b64(raw)}}), JSON),
    "JSON, an object with b64": lambda raw: (json.dumps({"b64": b64(raw)}), JSON),
    "JSON, a file": lambda raw: (json.dumps({"file": b64(raw), "name": "a.png"}), JSON),
    "JSON, a block of a chat": lambda raw: (
        json.dumps(
            {"type": "image_url", "image_url": {"url": "data:image/png;base64," + b64(raw)}}
        ),
        JSON,
    ),
    "JSON, Gradio's data": lambda raw: (json.dumps({"data": [b64(raw)]}), JSON),
    "JSON, a text": lambda raw: (json.dumps("data:image/png;base64," + b64(raw)), JSON),
    "JSON sent by fetch as text": lambda raw: (
        json.dumps({"image": b64(raw)}),
        "text/plain;charset=UTF-8",
    ),
    "JSON sent by curl -d": lambda raw: (
        json.dumps({"image": b64(raw)}),
        "application/x-www-form-urlencoded",
    ),
    "JSON with a mark, no type": lambda raw: (
        b"\xef\xbb\xbf" + json.dumps({"image": b64(raw)}).encode(),
        None,
    ),
    "JSON in UTF-16": lambda raw: (json.dumps({"image": b64(raw)}).encode("utf-16"), JSON),
    "JSON, application/x+json": lambda raw: (json.dumps({"image": b64(raw)}), "application/x+json"),
}


@pytest.mark.parametrize("make", ONE.values(), ids=ONE)
def test_one_picture_gives_a_row(server, promise, project, expected, make):
    content, kind = make(picture(project.folder))
    headers = {"content-type": kind} if kind else {}
    answer = server.client.post("/predict", content=content, headers=headers)
    assert answer.status_code == 200, answer.text
    assert_equal(promise.check(answer), expected[0])


CODINGS = {
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "GZIP": gzip.compress,
    "deflate": zlib.compress,
    "Deflate": bare_deflate,
    "gzip, gzip": lambda raw: gzip.compress(gzip.compress(raw)),
    "identity": bytes,
    "identity, gzip": lambda raw: gzip.compress(raw[:50]) + gzip.compress(raw[50:]) + bytes(8),
}


@pytest.mark.parametrize(("coding", "pack"), CODINGS.items(), ids=CODINGS)
def test_packed_bodies(server, project, expected, coding, pack):
    headers = {"content-type": "image/png", "content-encoding": coding}
    content = pack(picture(project.folder))
    for body in (content, iter([content[:99], content[99:]])):  # with a length, and in chunks
        answer = server.client.post("/predict", content=body, headers=headers)
        assert answer.status_code == 200, answer.text
        assert_equal(answer.json(), expected[0])


LISTS = {
    "images": lambda texts: {"images": texts},
    "a bare list": lambda texts: texts,
    "instances": lambda texts: {"instances": texts},
    "instances, b64": lambda texts: {"instances": [{"b64": text} for text in texts]},
    "instances, image": lambda texts: {"instances": [{"image": text} for text in texts]},
    "instances, image b64": lambda texts: {
        "signature_name": "serving_default",
        "instances": [{"image": {"b64": text}, "key": "1"} for text in texts],
    },
    "instances, tensors": lambda texts: {"instances": [[text] for text in texts]},
    "instances, Vertex AI": lambda texts: {
        "instances": [{"content": text, "mimeType": "image/png"} for text in texts],
        "parameters": {},
    },
    "inputs": lambda texts: {"inputs": texts},
    "inputs, a column": lambda texts: {"inputs": {"image": texts}},
    "inputs, another column": lambda texts: {"inputs": {"x": texts}, "params": None},
    "dataframe_split": lambda texts: {
        "dataframe_split": {
            "columns": ["id", "image"],
            "index": [0, 1, 2],
            "data": [[1, text] for text in texts],
        }
    },
    "dataframe_records": lambda texts: {
        "dataframe_records": [{"image": text, "id": 7} for text in texts]
    },
    "csv": lambda texts: "id,image\n" + "".join(f'1,"{text}"\r\n' for text in texts),
    "csv with a mark": lambda texts: "\ufeffimage\n" + "".join(f'"{text}"\n' for text in texts),
}
TEXTS = {
    "base64": b64,
    "lines": lambda raw: "\r\n".join(textwrap.wrap(b64(raw), 76)),
    "data URLs": lambda raw: "data:image/png;base64," + b64(raw),
}


@pytest.mark.parametrize("path", ["/predict", "/invocations", "/v1/models/local:predict"])
@pytest.mark.parametrize("shape", LISTS.values(), ids=LISTS)
def test_lists_give_rows_in_their_order(server, promise, project, expected, shape, path):
    """Each picture of three is written in another way; the form of the answer is the path's."""
    raws = [picture(project.folder, n) for n in range(3)]
    content = shape([write(raw) for write, raw in zip(TEXTS.values(), raws, strict=True)])
    is_csv = isinstance(content, str)
    body, kind = (content, "text/csv") if is_csv else (json.dumps(content), JSON)
    answer = server.client.post(path, content=body, headers={"content-type": kind})
    assert answer.status_code == 200, answer.text
    assert answer.headers["x-model"] == "local"
    found = answer.json()
    assert set(found) == {"predictions"} | ({"model", "version"} if path == "/predict" else set())
    for row, each in zip(found["predictions"], expected, strict=True):
        assert_equal(row, each)
    if path == "/predict":
        promise.check(answer)


def test_forms_with_several_files_give_rows_in_their_order(server, promise, project, expected):
    raws = [picture(project.folder, n) for n in range(3)]
    files = [("files", (f"{n}.png", raw, "image/png")) for n, raw in enumerate(raws)]
    answer = server.client.post("/predict", files=files, data={"note": "x"})
    for row, each in zip(promise.check(answer)["predictions"], expected, strict=True):
        assert_equal(row, each)
    bad = [files[0], ("files", ("b.png", b"<html>", "image/png")), ("files", ("c.png", b"", "x/y"))]
    rows = promise.check(server.client.post("/predict", files=bad))["predictions"]
    assert [(row["error"] or "ok").split(":")[0] for row in rows] == ["ok", "not_image", "empty"]
    alone = server.client.post("/predict", files=bad[1:2])
    assert alone.status_code == 422
    assert promise.check(alone)["error"] == rows[1]["error"]


def test_explanations_take_the_same_forms(server, promise, project):
    raw = picture(project.folder)
    for body, kind in ((form((FILE, raw)), FORM), (json.dumps({"image": b64(raw)}), JSON)):
        answer = server.post(body, kind, path="/explain")
        assert answer.status_code == 200
        assert base64.b64decode(promise.check(answer)["heatmap_png"]).startswith(b"\x89PNG")


REFUSED = {
    "an address": (
        {"images": ["AA==", "http://x.org/a.png"]},
        JSON,
        422,
        "address: images[1] is an address (http://...): nothing is fetched",
    ),
    "an address as text": (b"https://x.org/a.png", "text/plain", 422, "address: the body is an"),
    "an address in an object": (
        {"instances": [{"image_url": {"url": "https://x/y"}}]},
        JSON,
        422,
        "address: instances[0].image_url.url is an address",
    ),
    "no base64": (
        {"images": ["A" * 76 + "*"]},
        JSON,
        422,
        "base64: images[0] has a character outside base64 at byte 76: '*'",
    ),
    "a data URL of HTML": (
        {"image": "data:text/html,x"},
        JSON,
        422,
        "data_url: image has a data: prefix of type text/html",
    ),
    "null": ({"instances": [None]}, JSON, 422, "base64: instances[0] must be text, got null"),
    "a list in a list": ({"instances": [["AA==", "AA=="]]}, JSON, 422, "base64: instances[0] must"),
    "deep": ({"images": [[[[[["AA=="]]]]]]}, JSON, 422, "base64: images[0][0][0][0][0] must be"),
    "no such column": (
        {"dataframe_split": {"columns": ["a", "b"], "data": [["x", "y"]]}},
        JSON,
        422,
        "json_form: dataframe_split must have a column \"image\", got 'a', 'b'",
    ),
    "rows of other lengths": (
        {"dataframe_split": {"columns": ["image"], "data": [["x", "y"]]}},
        JSON,
        422,
        'json_form: "dataframe_split.data" must be rows of 1',
    ),
    "pixels": (
        {"instances": [[[0.1, 0.2], [0.3, 0.4]]]},
        JSON,
        422,
        "base64: instances[0] must be text, got a list (send the file itself in base64",
    ),
    "a name of a file": ({"image": "cell.png"}, JSON, 422, "base64: image is the name of a file"),
    "Python's dict": (b"{'image': ''}", JSON, 400, "json: the body is not JSON: Expecting prop"),
    "a form with JSON's type": (form((FILE, b"x")), JSON, 400, "json: the body is not JSON, but a"),
    "csv without a header": (
        (b64(TINY) + "\n" + b64(TINY) + "\n").encode(),
        "text/csv",
        422,
        'csv: the first line must name the column, "image"',
    ),
    "curl -d @a.png": (
        TINY.translate(None, b"\0\r\n"),
        "application/x-www-form-urlencoded",
        400,
        "urlencoded: the body is no form of ASCII fields and values (send a file as `curl -F",
    ),
    "curl -d @a.jpg": (
        b"\xff\xd8\xff\xe0\x10JFIF",
        "application/x-www-form-urlencoded",
        400,
        "urlencoded: the body is no form",
    ),
    "no rows": ({"dataframe_records": []}, JSON, 422, "json_form: the list of pictures must not"),
    "params": (
        {"instances": ["AA=="], "params": {"a": 1}},
        JSON,
        422,
        "json_form: the model takes",
    ),
    "two shapes": ({"instances": ["AA=="], "inputs": ["AA=="]}, JSON, 422, "json_form: the only"),
    "a picture as JSON": (b"\x89PNG\r\n\x1a\n", JSON, 400, "json: the body is no JSON, but a PNG"),
    "a form without a file": (
        form((b'name="a"', b"1"), (b'name="b"', b"2")),
        FORM,
        422,
        "no_file: the form has no file, its fields are: 'a', 'b'",
    ),
    "a form, nothing chosen": (form((b'name="f"; filename=""', b"")), FORM, 422, "no_file: "),
    "a form, an address": (
        form((b'name="image"', b"http://x/y")),
        FORM,
        422,
        "address: the field 'image' is an address",
    ),
    "a form, no boundary": (
        form((FILE, b"x")),
        "multipart/form-data",
        400,
        "multipart: Content-Type names no boundary",
    ),
    "a form, cut off": (form((FILE, b"x"))[:-6], FORM, 400, "multipart: the body is cut off"),
    "a form, too many files": (form(*[(FILE, b"x")] * 5), FORM, 413, "too_many_pictures: "),
    "a form, too many fields": (form(*[(b'name="a"', b"x")] * 200), FORM, 413, "too_many_pict"),
    "a page's form without one": (
        b"a=1&b=2",
        "application/x-www-form-urlencoded",
        422,
        "no_file: the form has no file, its fields are: 'a', 'b'",
    ),
    "csv without the column": (b"a,b\n1,2\n", "text/csv", 422, "json_form: the header must have"),
    "csv, no lines": (b"", "text/csv", 400, "csv: the body is no table"),
    "text": (b"hello, world", "text/plain", 415, "media_type: Content-Type must be image/*"),
    "multipart/mixed": (form((FILE, b"x")), "multipart/mixed; boundary=b", 415, "media_type: "),
}


@pytest.mark.parametrize(("content", "kind", "status", "error"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_answered_says_what_is_wrong(server, promise, content, kind, status, error):
    body = content if isinstance(content, bytes) else json.dumps(content)
    answer = server.post(body, kind)
    assert answer.status_code == status, answer.text
    assert_clean(answer)
    assert promise.check(answer)["error"].startswith(error)


PACKED_WRONG = {
    "no gzip": (b"hello", "gzip", 400, "content_encoding: the body is no gzip"),
    "no deflate": (b"hello", "deflate", 400, "content_encoding: the body is no deflate"),
    "cut off": (gzip.compress(bytes(99))[:-9], "gzip", 400, "content_encoding: the body is cut"),
    "a wrong checksum": (gzip.compress(b"x")[:-8] + bytes(8), "gzip", 400, "content_encoding: "),
    "a bomb": (gzip.compress(bytes(40_000_000)), "gzip", 413, "too_many_bytes: "),
    "a bomb in a bomb": (
        gzip.compress(gzip.compress(bytes(99_000_000))),
        "gzip, gzip",
        413,
        "too_many_bytes: ",
    ),
    "many members": (gzip.compress(b"") * 2000, "gzip", 400, "content_encoding: the body has over"),
    "brotli": (b"x", "br", 415, "content_encoding: Content-Encoding must be gzip or deflate, got"),
    "three layers": (b"x", "gzip, gzip, gzip", 415, "content_encoding: "),
}


@pytest.mark.parametrize(
    ("body", "coding", "status", "error"), PACKED_WRONG.values(), ids=PACKED_WRONG
)
def test_packed_bodies_are_unpacked_no_further_than_the_limit(
    server, promise, body, coding, status, error
):
    headers = {"content-type": "image/png", "content-encoding": coding}
    answer = server.client.post("/predict", content=body, headers=headers)
    assert (answer.status_code, promise.check(answer)["error"][: len(error)]) == (status, error)


def infer(texts, **more):
    tensor = {"name": "image", "shape": [len(texts)], "datatype": "BYTES", "data": texts}
    return {"inputs": [{**tensor, **more}]}


def test_open_inference_protocol(server, promise, project, expected):
    raws = [picture(project.folder, n) for n in range(2)]
    asked = infer([b64(raw) for raw in raws], parameters={"content_type": "base64"}) | {"id": "42"}
    answer = server.client.post("/v2/models/local/infer", json=asked)
    assert answer.status_code == 200, answer.text
    found = answer.json()
    version = server.client.get("/ready").json()["version"]
    assert (found["model_name"], found["model_version"], found["id"]) == ("local", version, "42")
    names = ["label", "confidence", "p_a/b", "p_c"]
    assert [each["name"] for each in found["outputs"]] == names
    assert [each["datatype"] for each in found["outputs"]] == ["BYTES", "FP64", "FP64", "FP64"]
    for place, row in enumerate(expected[:2]):
        values = {each["name"]: each["data"][place] for each in found["outputs"]}
        assert_equal(values, row)
    nested = infer([[f"data:image/png;base64,{b64(raws[0])}"]], shape=[1, 1], name="any")
    nested["outputs"] = [{"name": "p_c"}]
    (output,) = server.client.post(
        f"/v2/models/local/versions/{version}/infer", json=nested
    ).json()["outputs"]
    assert output["shape"] == [1]
    assert output["data"][0] == pytest.approx(expected[0]["p_c"], abs=1e-4)


def test_open_inference_protocol_with_bytes_after_the_json(server, project, expected):
    """As Triton's clients send tensors, unless they are told otherwise."""
    raw = picture(project.folder)
    parts = [struct.pack("<I", len(each)) + each for each in (raw, raw)]
    size = {"binary_data_size": sum(map(len, parts))}
    head = json.dumps(infer([], shape=[2], data=None, parameters=size)).encode()
    answer = server.client.post(
        "/v2/models/local/infer",
        content=head + b"".join(parts),
        headers={
            "content-type": "application/octet-stream",
            "inference-header-content-length": str(len(head)),
        },
    )
    assert answer.status_code == 200, answer.text
    assert answer.json()["outputs"][0]["data"] == [expected[0]["label"]] * 2


INFER_REFUSED = {
    "no JSON": (b"{", 400, "json: "),
    "no inputs": ({}, 422, "infer_form: the body must be"),
    "pixels": (
        infer([1, 2], datatype="UINT8"),
        422,
        "infer_form: inputs[0].datatype must be \"BYTES\", of encoded pictures, got 'UINT8'",
    ),
    "another shape": (infer(["AA=="], shape=[2]), 422, "infer_form: inputs[0].shape [2] is of 2"),
    "no shape": (infer(["AA=="], shape=None), 422, "infer_form: inputs[0].shape must be"),
    "a shape of any size": (
        infer(["AA=="], shape=[-1]),
        422,
        "infer_form: inputs[0].shape must be a list of whole numbers from 0, got [-1]",
    ),
    "two inputs, none an image": ({"inputs": [{"name": "a"}, {"name": "b"}]}, 422, "json_form: "),
    "no base64": (infer(["*"]), 422, "base64: inputs[0].data[0] has a character"),
    "null": (infer([None]), 422, "base64: inputs[0].data[0] must be text, got null"),
    "no picture": (infer([b64(b"<html>")]), 422, "not_image: picture 0: it is an HTML page"),
    "too many": (infer(["AA=="] * 5), 413, "too_many_pictures: "),
    "bytes that are not there": (
        infer([], shape=[1], parameters={"binary_data_size": 9}),
        400,
        "infer_form: inputs[0] has not the bytes",
    ),
}


@pytest.mark.parametrize(("content", "status", "error"), INFER_REFUSED.values(), ids=INFER_REFUSED)
def test_open_inference_protocol_refuses_in_its_form(server, content, status, error):
    body = content if isinstance(content, bytes) else json.dumps(content)
    answer = server.post(body, JSON, path="/v2/models/local/infer")
    assert answer.status_code == status, answer.text
    assert list(answer.json()) == ["error"]
    assert answer.json()["error"].startswith(error)


def test_an_output_that_there_is_not_is_refused(server, project):
    asked = infer([b64(picture(project.folder))]) | {"outputs": [{"name": "probability"}]}
    answer = server.client.post("/v2/models/local/infer", json=asked)
    assert answer.status_code == 422
    assert answer.json()["error"].startswith("infer_form: there is no output 'probability', but ")


DESCRIBED = {
    "/v2": lambda v: {"name": "rootstock", "extensions": []},
    "/v2/health/live": lambda v: {"live": True},
    "/v2/health/ready": lambda v: {"live": True, "ready": True},
    "/v2/models/local/ready": lambda v: {"name": "local", "ready": True},
    "/v2/models/local": lambda v: {
        "name": "local",
        "versions": [v],
        "platform": "rootstock",
        "inputs": [{"name": "image", "datatype": "BYTES", "shape": [-1]}],
    },
    "/v1/models": lambda v: {"models": ["local"]},
    "/v1/models/local": lambda v: {"name": "local", "ready": True},
    "/health": lambda v: {"status": "alive"},
    "/healthz": lambda v: {"status": "alive"},
    "/livez": lambda v: {"status": "alive"},
    "/readyz": lambda v: {"status": "ready", "version": v},
    "/ping": lambda v: {"status": "ready", "version": v},
    "/version": lambda v: {"model": "local", "version": v, "interface": "1"},
    "/model": lambda v: {"model": "local", "version": v},
}


@pytest.mark.parametrize("path", [*DESCRIBED, "/", "/docs", "/metrics", "/openapi.json"])
def test_states_are_told_to_get_and_to_head(server, path):
    answer = server.client.get(path)
    assert answer.status_code == 200
    if path in DESCRIBED:
        version = server.client.get("/ready").json()["version"]
        assert DESCRIBED[path](version).items() <= answer.json().items()
    head = server.client.head(path)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-type"] == answer.headers["content-type"]
    options = server.client.options(path)
    assert (options.status_code, options.headers["allow"]) == (204, "GET, HEAD, OPTIONS")


@pytest.mark.parametrize(
    ("method", "path", "status", "allow"),
    [
        ("HEAD", "/predict", 405, "OPTIONS, POST"),
        ("GET", "/invocations", 405, "OPTIONS, POST"),
        ("DELETE", "/model", 405, "GET, HEAD, OPTIONS"),
        ("OPTIONS", "/predict", 204, "OPTIONS, POST"),
        ("HEAD", "/nothing", 404, None),
        ("OPTIONS", "/nothing", 404, None),
        ("GET", "/v2/", 404, None),
        ("GET", "/v2/models/other", 404, None),
        ("POST", "/v1/models/other:predict", 404, None),
        ("POST", "/v2/models/local/versions/9/infer", 404, None),
    ],
)
def test_other_methods_and_paths(server, method, path, status, allow):
    answer = server.client.request(method, path)
    assert (answer.status_code, answer.headers.get("allow")) == (status, allow)


@pytest.mark.parametrize("path", ["/predict/", "/predict//", "/v1//models/local:predict/"])
def test_slashes_too_many_cost_a_post_nothing(server, project, path):
    answer = server.post(picture(project.folder), "image/png", path=path)
    assert answer.status_code == 200, answer.text


def test_a_wrong_method_is_told_the_right_one(server):
    error = server.client.put("/predict", content=b"x").json()["error"]
    assert error == "method_not_allowed: this path takes OPTIONS, POST; see /docs"


def test_a_target_with_scheme_and_host_is_the_same_path(server):
    with socket.create_connection(server.client.base_url.netloc.decode().split(":")) as line:
        line.settimeout(30)
        line.sendall(b"GET http://x.org/health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        assert line.recv(65_536).startswith(b"HTTP/1.1 200 ")


def test_a_head_is_answered_without_a_body_on_the_wire(server):
    with socket.create_connection(server.client.base_url.netloc.decode().split(":")) as line:
        line.settimeout(30)
        line.sendall(b"HEAD / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        text = b"".join(iter(lambda: line.recv(65_536), b""))
    assert text.startswith(b"HTTP/1.1 200 ")
    assert text.endswith(b"\r\n\r\n")


def test_each_protocol_refuses_in_its_own_form(server):
    for path, keys in (
        ("/invocations", ["error_code", "message"]),
        ("/v1/models/local:predict", ["error"]),
        ("/v2/models/local/infer", ["error"]),
        ("/predict", ["error", "model", "version"]),
    ):
        answer = server.post(b"{", JSON, path=path)
        assert (answer.status_code, list(answer.json())) == (400, keys)
    answer = server.post(b'{"instances": ["PGh0bWw+"]}', JSON, path="/invocations")
    assert answer.json()["predictions"][0]["error"].startswith("not_image: it is an HTML page")


TOKENS = {
    "none": ({}, 401, "send `Authorization: Bearer <token>`"),
    "another": ({"authorization": "Bearer 0123456789abcdeg"}, 401, "this token is not known"),
    "half of one": ({"authorization": f"Bearer {TOKEN[:8]}"}, 401, "this token is not known"),
    "a name and a password": ({"authorization": "Basic eDp5"}, 401, "send `Authorization"),
    "no ASCII": ({"x-api-key": "größe".encode("latin-1")}, 401, "this token is not known"),
    "of the environment": ({"authorization": f"Bearer {TOKEN}"}, 200, None),
    "of the file, other letters": ({"authorization": f"bearer  {SPARE}"}, 200, None),
    "as a key": ({"x-api-key": SPARE}, 200, None),
}


@pytest.mark.parametrize(("headers", "status", "error"), TOKENS.values(), ids=TOKENS)
@pytest.mark.parametrize("path", ["/predict", "/model", "/metrics", "/v2/models/local"])
def test_a_token_is_asked_for(server, promise, project, headers, status, error, path):
    method = "POST" if path == "/predict" else "GET"
    body = picture(project.folder) if method == "POST" else None
    answer = httpx.request(method, server.url + path, content=body, headers=headers)
    assert answer.status_code == status
    if error:
        assert f"unauthorized: {error}" in answer.text
        assert answer.headers["www-authenticate"].startswith('Bearer realm="rootstock"')
        assert TOKEN not in answer.text


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/docs",
        "/openapi.json",
        "/health",
        "/ready",
        "/ping",
        "/version",
        "/v2",
        "/v2/health/ready",
        "/v2/models/local/ready",
    ],
)
def test_states_and_pages_are_open(server, path):
    assert httpx.get(server.url + path).status_code == 200


def test_the_document_says_where_a_token_is_asked_for(promise):
    paths = promise.document["paths"]
    assert paths["/predict"]["post"]["security"] == [{"bearer": []}, {"key": []}]
    assert "security" not in paths["/ready"]["get"]


def test_a_token_is_not_left_to_the_process_of_the_version(server):
    (resident,) = server.residents()
    assert "ROOTSTOCK_TOKEN" not in resident.environ()


def test_pages_of_a_named_origin_may_ask(server, project):
    asked = {
        "origin": ORIGIN,
        "access-control-request-method": "POST",
        "access-control-request-headers": "authorization,content-type",
    }
    before = httpx.options(server.url + "/predict", headers=asked)
    assert before.status_code == 200
    assert before.headers["access-control-allow-origin"] == ORIGIN
    assert "authorization" in before.headers["access-control-allow-headers"].lower()
    raw = picture(project.folder)
    answer = server.client.post("/predict", content=raw, headers={"origin": ORIGIN})
    assert answer.headers["access-control-allow-origin"] == ORIGIN
    assert "X-Model" in answer.headers["access-control-expose-headers"]
    refused = httpx.post(server.url + "/predict", headers={"origin": "http://localhost:3000"})
    assert refused.status_code == 401, "a page must be let read why"
    assert refused.headers["access-control-allow-origin"] == "http://localhost:3000"


def test_pages_of_other_origins_may_not(server, project):
    other = {"origin": "https://evil.example.org", "access-control-request-method": "POST"}
    before = httpx.options(server.url + "/predict", headers=other)
    assert (before.status_code, before.headers.get("access-control-allow-origin")) == (400, None)
    answer = server.client.post("/predict", content=picture(project.folder), headers=other)
    assert "access-control-allow-origin" not in answer.headers


_NAME, _VALUE = r"[a-zA-Z_:][a-zA-Z0-9_:]*", r"(?:[^\"\\\n]|\\[\\\"n])*"
_SAMPLE = re.compile(
    rf"({_NAME})(?:\{{((?:[a-zA-Z_]\w*=\"{_VALUE}\"(?:,(?!\}}))?)*)\}})? (\+Inf|-?[\d.e+-]+)"
)


def read_metrics(text):
    """Read Prometheus' text format strictly; gives values by name and labels."""
    assert text.endswith("\n")
    kinds, helps, found = {}, set(), {}
    for line in text.splitlines():
        if line.startswith("# HELP "):
            name = line.split(" ", 3)[2]
            assert name not in helps
            helps.add(name)
        elif line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert name in helps
            assert name not in kinds
            kinds[name] = kind
        else:
            name, labels, value = _SAMPLE.fullmatch(line).groups()
            family = name if name in kinds else re.sub("_(bucket|sum|count)$", "", name)
            assert list(kinds)[-1] == family, "values follow their type, all together"
            assert (name, labels) not in found
            assert float(value) >= 0
            if kinds[family] == "counter":
                assert name.endswith("_total")
            found[name, labels] = float(value)
    for name in (each for each, kind in kinds.items() if kind == "histogram"):
        check_histogram(name, found)
    return found


def check_histogram(name, found):
    series = {}
    for (each, labels), value in found.items():
        if each == f"{name}_bucket":
            rest, _, bound = labels.rpartition('le="')
            series.setdefault(rest.rstrip(","), []).append((float(bound.rstrip('"')), value))
    for labels, pairs in series.items():
        assert pairs == sorted(pairs)
        assert [value for _, value in pairs] == sorted(value for _, value in pairs)
        assert pairs[-1] == (math.inf, found[f"{name}_count", labels or None])
        assert (f"{name}_sum", labels or None) in found


def test_metrics_count_what_was_asked(server, promise, project):
    def ask():
        answer = server.client.get("/metrics")
        assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
        return read_metrics(answer.text)

    before = ask()
    raw = picture(project.folder)
    assert server.post_list([raw, raw, b"<html>"]).status_code == 200
    assert server.post(b"{", JSON).status_code == 400
    assert httpx.get(server.url + "/nothing/at/all").status_code == 404
    after = ask()

    def grown(name, labels=None):
        return after[name, labels] - before.get((name, labels), 0)

    assert grown("rootstock_requests_total", 'path="/predict",method="POST",code="200"') == 1
    assert grown("rootstock_requests_total", 'path="/predict",method="POST",code="400"') == 1
    assert grown("rootstock_requests_total", 'path="other",method="GET",code="404"') == 1
    assert grown("rootstock_request_seconds_count", 'path="/predict"') == 2
    assert grown("rootstock_pictures_total") == 2
    assert grown("rootstock_picture_errors_total", 'reason="not_image"') == 1
    assert grown("rootstock_refusals_total", 'reason="json"') == 1
    assert grown("rootstock_batch_pictures_sum") == 3
    version = server.client.get("/ready").json()["version"]
    assert after["rootstock_model_info", f'model="local",version="{version}"'] == 1
    assert after["rootstock_queue_limit", None] == 256
    assert after["rootstock_ready", None] == 1
    assert after["process_start_time_seconds", None] > 1.7e9
    assert "TYPE rootstock_queue_pictures gauge" in server.client.get("/metrics").text


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (None, "error: {file}: cannot be read: No such file or directory (name a file with"),
        ("", "error: {file}: must hold a token (write one with `openssl rand -hex 32`)"),
        ("# none\n", "error: {file}: must hold a token"),
        ("short\n", "error: {file}: a token must be 16 to 512 characters of ASCII without blanks"),
        ("two words that are long\n", "error: {file}: a token must be 16 to 512 characters"),
    ],
)
def test_a_file_without_a_token_is_exit_2_in_one_line(tmp_path, capsys, content, error):
    path = tmp_path / "tokens"
    if content is not None:
        path.write_text(content)
    assert main(["serve", "x", "--token-file", str(path)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(error.format(file=path))
    assert not content or content.strip() not in line or content.startswith("#")


@pytest.mark.parametrize(
    "origin", ["example.org", "https://example.org/app", "ftp://x", "null", ""]
)
def test_an_origin_that_no_browser_sends_is_exit_2_in_one_line(capsys, origin):
    assert main(["serve", "x", "--cors-origin", origin]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: rootstock serve: --cors-origin: must be `*`, or scheme, host")


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
@pytest.mark.parametrize(
    "options",
    [
        ("-F", "file=@{file}"),
        ("-F", "a=@{file}", "-F", "note=hello"),
        ("--data-binary", "@{file}"),
        ("-F", "file=@{file};type=image/png;filename=ü.png"),
        ("-T", "{file}", "-X", "POST"),
        ("--data-binary", "@{file}", "-H", "Transfer-Encoding: chunked"),
        ("--data-binary", "@{file}", "-H", "Content-Type:"),
        ("--data-urlencode", "image@{text}"),
        ("--data", "@{text}"),
        ("-F", "image=<{text}"),
        ("-d", "@{json}", "-H", "Content-Type: application/json"),
    ],
    ids=" ".join,
)
def test_curl(server, project, expected, tmp_path, options):
    raw = picture(project.folder)
    (tmp_path / "a.png").write_bytes(raw)
    (tmp_path / "a.b64").write_bytes(base64.encodebytes(raw))
    (tmp_path / "a.json").write_text(as_json([raw]))
    names = {"file": tmp_path / "a.png", "text": tmp_path / "a.b64", "json": tmp_path / "a.json"}
    command = ["curl", "-s", "-H", f"X-API-Key: {SPARE}", server.url + "/predict"]
    command += [each.format(**names) for each in options]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    found = json.loads(done.stdout)
    assert_equal(found.get("predictions", [found])[0], expected[0])
