"""A model of texts, served: its answers in every spelling, and its page in a real browser."""

import base64
import json

import pytest

from tests.support.browser import browser_page
from tests.support.serving import Promise, assert_clean, assert_equal, serving
from tests.support.tinytext import made_texts, predict_texts, write_text_model

pytestmark = pytest.mark.slow

JSON = "application/json"
BASE64 = base64.b64encode(b"the phone is great").decode()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("texts")
    write_text_model(folder / "model", max_tokens=16)
    return folder


@pytest.fixture(scope="module")
def server(folder):
    with serving("model", "--decoders", "1", cwd=folder) as running:
        yield running


@pytest.fixture(scope="module")
def promise(server):
    return Promise(server.client.get("/openapi.json").json())


@pytest.mark.parametrize(
    ("kind", "body", "path"),
    [
        (JSON, {"texts": [BASE64, "it broke"]}, "/predict"),
        (JSON, [BASE64, "it broke"], "/predict"),
        (JSON, {"inputs": [BASE64, "it broke"]}, "/invocations"),
        (JSON, {"inputs": {"text": [BASE64, "it broke"]}}, "/invocations"),
        (JSON, {"instances": [BASE64, {"text": "it broke"}]}, "/invocations"),
        (
            JSON,
            {"dataframe_split": {"columns": ["text"], "data": [[BASE64], ["it broke"]]}},
            "/invocations",
        ),
        (JSON, {"dataframe_records": [{"text": BASE64}, {"text": "it broke"}]}, "/invocations"),
        ("text/csv", f"text\n{BASE64}\nit broke\n", "/invocations"),
        (JSON, {"instances": [BASE64, "it broke"]}, "/v1/models/local:predict"),
    ],
)
def test_two_texts_in_every_spelling(server, promise, folder, kind, body, path):
    content = body if isinstance(body, str) else json.dumps(body)
    answer = server.post(content, kind, path)
    rows = (promise.check(answer) if "/v1" not in path else answer.json())["predictions"]
    for row, expected in zip(
        rows, predict_texts(folder / "model", [BASE64, "it broke"]), strict=True
    ):
        assert row["error"] is None
        assert_equal(row, {name: value for name, value in expected.items() if name != "error"})


def test_one_text_as_plain_text_form_file_and_tensor(server, folder):
    text = "the phone is + great"
    (expected,) = predict_texts(folder / "model", [text])
    del expected["error"]
    form = {"data": {"text": text}}, {"files": {"file": ("a.txt", text.encode())}}
    answers = [
        server.post(text, "text/plain"),
        server.post(json.dumps({"text": text}), JSON),
        *(server.client.post("/predict", **each) for each in form),
    ]
    for answer in answers:
        assert_equal(answer.json(), expected)
    tensor = {"name": "text", "datatype": "BYTES", "shape": [1], "data": [text]}
    found = server.post(json.dumps({"inputs": [tensor]}), JSON, "/v2/models/local/infer").json()
    told = {each["name"]: each["data"][0] for each in found["outputs"]}
    assert_equal(told, expected)


def test_a_text_in_another_charset_is_the_same_text(server, folder):
    text = "the café is great"
    (expected,) = predict_texts(folder / "model", [text])
    del expected["error"]
    old = text.encode("cp1252")
    kind = "text/plain; charset=windows-1252"
    file = {"file": ("a.txt", old, kind)}
    table = server.post(b"text\n" + old + b"\n", "text/csv; charset=windows-1252")
    (row,) = table.json()["predictions"]
    assert row.pop("error") is None
    alone = server.post(old, kind), server.client.post("/predict", files=file)
    for found in (row, *(each.json() for each in alone)):
        assert_equal(found, expected)
    assert server.post(old, "text/plain; charset=klingon").status_code == 415


def test_what_is_not_read_of_a_text_is_noted(server, promise):
    texts = ["good phone " * 95_000, "\u200fgood\u200e \u200b\ufeffphone", BASE64]
    rows = promise.check(server.post(json.dumps({"texts": texts}), JSON))["predictions"]
    assert rows[0]["notes"] == ["cut_off: only the first 128 of 1044999 bytes are read"]
    assert rows[1]["notes"] == []
    assert rows[2]["notes"][0].startswith("cut_off: only the first 16 of ")


def test_what_is_no_text_costs_its_own_row(server, promise):
    body = '{"texts": ["\\ud83d", "", " \\n", "\\u200b", "good"]}'
    rows = promise.check(server.post(body, JSON))["predictions"]
    codes = [row["error"] and row["error"].partition(":")[0] for row in rows]
    assert codes == ["not_utf8", "empty", "empty", "unprintable", None]
    answer = server.post(b"caf\xe9", "text/plain")
    assert answer.status_code == 422
    assert answer.json()["error"].startswith("not_utf8: byte 3 of 4 is 0xe9")
    assert_clean(answer)


def test_its_words_are_weighed(server, promise):
    found = promise.check(server.post(json.dumps({"text": "the phone is good"}), JSON, "/explain"))
    assert found["seen"] == "the phone is good"
    assert len(found["weights"]) == 4
    assert found["spans"][3] == [13, 17]


def test_what_it_says_of_itself(server):
    model = server.client.get("/model").json()
    assert model["max_tokens"] == 16
    assert model["explains"] is True
    docs = server.client.get("/docs").text
    assert "base64 &lt;" not in docs
    assert "{&#34;texts&#34;: [&#34;It works well.&#34;]}" in docs


def test_the_page_predicts_a_text_and_marks_its_words(server, folder):
    (text, *_), _ = made_texts(2)
    (expected,) = predict_texts(folder / "model", [f"{text} <b>\U0001f600 good"])
    with browser_page() as (page, complaints):
        asked = []
        page.on("request", lambda request: asked.append(request.url))
        page.goto(server.url)
        page.set_default_timeout(60_000)
        page.wait_for_selector("h1:text-is('local')")
        page.fill("#text", f"{text} <b>\U0001f600 good")
        page.click("#ask")
        page.wait_for_selector("#result:not([hidden])")
        assert page.inner_text("#label") == expected["label"]
        bars = page.locator("#bars .row span:last-child").all_inner_texts()
        shares = sorted((expected["p_bad"], expected["p_good"]), reverse=True)
        assert bars == [f"{100 * share:.1f} %" for share in shares]
        page.wait_for_selector("#weighed:not([hidden])")
        assert page.inner_text("#words") == f"{text} <b>\U0001f600 good"
        assert page.locator("#words mark").all_inner_texts()[-1] == "good"
        assert "texts" in page.locator("#curl").text_content()
        page.fill("#text", "  ")
        page.press("#text", "Control+Enter")
        page.wait_for_selector("#trouble:not([hidden])")
        assert page.inner_text("#what") == "There is no text"
        page.click("#example")
        page.wait_for_selector("#weighed:not([hidden])")
        assert page.is_hidden("#trouble")
        assert "only the first" in page.inner_text("#noted")
        assert all(each.startswith((server.url, "data:")) for each in asked)
        assert [each for each in complaints if "status of 4" not in each] == []
