"""A server answers as it promises: rows, refusals with a reason, and never a failure of its own."""

import math
import os
import re
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from openapi_spec_validator import validate

from pipeline.cli import main
from tests.fault.test_picture_table import BAD, GOOD
from tests.support.closure import ROOT
from tests.support.project import ENVIRONMENT
from tests.support.published import RESULTS, Project, use_real_model
from tests.support.serving import (
    Promise,
    as_json,
    assert_clean,
    assert_equal,
    predictions,
    serving,
    until_answers,
)

MOST_BYTES, MOST_PICTURES, QUEUE = 2_000_000, 8, 12


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return use_real_model(Project(tmp_path_factory.mktemp("served")))


@pytest.fixture(scope="module")
def server(project):
    options = (
        "--max-bytes",
        MOST_BYTES,
        "--max-pictures",
        MOST_PICTURES,
        "--queue",
        QUEUE,
        "--timeout",
        60,
        "--decoders",
        1,
    )
    folder = project.folder / RESULTS.model.parent
    with serving(folder, *map(str, options), cwd=project.folder) as running:
        yield running


@pytest.fixture(scope="module")
def pictures(project):
    folder = project.folder / RESULTS.raw / "images"
    return [(folder / f"{number}.png").read_bytes() for number in range(8)]


@pytest.fixture(scope="module")
def expected(project, pictures):
    return predictions(project.folder, pictures)


@pytest.fixture(scope="module")
def promise(server):
    return Promise(server.client.get("/openapi.json").json())


def test_the_first_line_says_where_what_and_how(server):
    line = next(each for each in server.lines if " serves " in each)
    assert re.fullmatch(
        r"(http://127\.0\.0\.1:\d+) serves local version [0-9a-f]{12} \(.*artifacts/train\); "
        r"how to ask: \1/docs \(Ctrl-C ends it\)\n",
        line,
    )


@pytest.mark.parametrize("kind", ["image/png", "IMAGE/JPEG; q=1", "application/octet-stream"])
def test_one_picture_gives_one_row(server, promise, pictures, expected, kind):
    answer = server.post(pictures[0], kind)
    assert answer.status_code == 200
    row = promise.check(answer)
    assert_equal(row, expected[0])
    assert (row["error"], row["model"]) == (None, "local")


def test_a_list_gives_rows_in_order_and_a_bad_picture_costs_its_row(
    server, promise, pictures, expected
):
    answer = server.post_list([*pictures[:3], b"<html>", pictures[3]])
    assert answer.status_code == 200
    rows = promise.check(answer)["predictions"]
    for row, each in zip([*rows[:3], rows[4]], expected[:4], strict=True):
        assert_equal(row, each)
    assert rows[3] == {
        "label": None,
        "confidence": None,
        "p_a/b": None,
        "p_c": None,
        "notes": [],
        "error": rows[3]["error"],
    }
    assert rows[3]["error"].startswith("not_image: it is an HTML page")
    alone = server.post(b"<html>")
    assert (alone.status_code, promise.check(alone)["error"]) == (422, rows[3]["error"])


def test_many_at_once_are_each_answered_with_their_own(server, pictures, expected):
    def ask(number):
        return server.post(pictures[number % 8])

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(ask, range(64)))
    for number, answer in enumerate(answers):
        assert answer.status_code == 200
        assert_equal(answer.json(), expected[number % 8])


REFUSED = {
    "no media type": (b"x", None, 415, "media_type: Content-Type must be image/*"),
    "text": (b"x", "text/plain", 415, "media_type: "),
    "image/": (b"x", "image/", 415, "media_type: "),
    "a form": (b"x", "multipart/form-data; boundary=x", 400, "multipart: the body does not hold"),
    "nothing at all": (b"", None, 422, "empty: the request has no body"),
    "no bytes": (b"", "image/png", 422, "empty: "),
    "no JSON": (b"{", "application/json", 400, "json: the body is not JSON"),
    "not UTF-8": (b'{"images": ["\xff"]}', "application/json", 400, "json: "),
    "deep JSON": (b"[" * 200_000, "application/json", 400, "json: "),
    "a list": (b"[]", "application/json", 422, "json_form: "),
    "no images": (b"{}", "application/json", 422, "json_form: "),
    "images no list": (b'{"images": 1}', "application/json", 422, "json_form: "),
    "none": (b'{"images": []}', "application/json", 422, "json_form: "),
    "another key": (
        b'{"images": ["eA=="], "size": 1}',
        "application/json",
        422,
        "json_form: the only key is",
    ),
    "no base64": (b'{"images": ["eA==", "*"]}', "application/json", 422, "base64: images[1]"),
    "a number": (b'{"images": [1]}', "application/json", 422, "base64: images[0]"),
    "too many pictures": (
        as_json([b"x"] * (MOST_PICTURES + 1)),
        "application/json",
        413,
        "too_many_pictures: a request may have 8 pictures, got 9",
    ),
    "too many bytes": (bytes(MOST_BYTES + 1), "image/png", 413, "too_many_bytes: "),
}


@pytest.mark.parametrize(("content", "kind", "status", "error"), REFUSED.values(), ids=REFUSED)
def test_refused(server, promise, content, kind, status, error):
    headers = {"content-type": kind} if kind else {}
    answer = server.client.post("/predict", content=content, headers=headers)
    assert answer.status_code == status
    assert_clean(answer)
    refusal = promise.check(answer)
    assert refusal["error"].startswith(error)
    assert refusal["model"] == "local"


def test_an_unknown_coding_is_refused_with_those_that_are_known(server, promise):
    answer = server.client.post(
        "/predict", content=b"x", headers={"content-type": "image/png", "content-encoding": "br"}
    )
    assert (answer.status_code, promise.check(answer)["error"][:17]) == (415, "content_encoding:")
    assert answer.headers["accept-encoding"] == "gzip, deflate"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/predict", 405),
        ("POST", "/", 405),
        ("GET", "/nothing", 404),
        ("GET", "/../x", 404),
        ("PUT", "/model", 405),
        ("GET", "/docs/", 404),
    ],
)
def test_unknown_ways_in_are_told_in_json(server, method, path, status):
    answer = server.client.request(method, path, follow_redirects=False)
    if path == "/docs/":
        assert answer.status_code in (307, 404)
        return
    assert answer.status_code == status
    assert_clean(answer)
    assert answer.json()["model"] == "local"


@pytest.mark.parametrize("more", [{}, {"expect": "100-continue"}], ids=["", "expect"])
def test_an_upload_without_a_length_is_read_to_the_limit_and_no_further(server, more):
    sent = 0

    def chunks():
        nonlocal sent
        for _ in range(10_000):
            sent += 65_536
            yield bytes(65_536)

    headers = {"content-type": "image/png", **more}
    answer = server.client.post("/predict", content=chunks(), headers=headers)
    assert (answer.status_code, answer.headers["connection"]) == (413, "close")
    assert answer.json()["error"].startswith("too_many_bytes: ")
    assert sent < 50_000_000, "what the kernel buffers, and not the whole"


def test_a_length_over_the_limit_is_refused_before_the_body_comes(server):
    head = (
        f"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-type: image/png\r\n"
        f"content-length: {MOST_BYTES + 1}\r\nexpect: 100-continue\r\n\r\n"
    )
    with socket.create_connection(server.client.base_url.netloc.decode().split(":")) as line:
        line.settimeout(30)
        line.sendall(head.encode())
        assert line.recv(1000).startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize("name", [*BAD, *GOOD])
def test_every_picture_of_the_table_gives_a_row_or_a_reason(server, promise, name):
    content = (BAD.get(name) or GOOD[name])[0]
    answer = server.post(content, "image/jpeg")
    assert_clean(answer)
    row = promise.check(answer)
    reason = BAD[name][1] if name in BAD else None
    if reason in (None, "too_small", "aspect"):  # what training refuses, and a model can read
        assert (answer.status_code, row["error"]) == (200, None)
        assert row["label"] in ("a/b", "c")
    else:
        assert (answer.status_code, row["error"].split(": ")[0]) == (422, reason)


def test_the_table_as_lists_gives_the_same(server, pictures):
    names = [*BAD, *GOOD]
    for start in range(0, len(names), MOST_PICTURES):
        part = names[start : start + MOST_PICTURES]
        contents = [(BAD.get(name) or GOOD[name])[0] for name in part]
        answer = server.post_list(contents)
        assert answer.status_code == 200
        for content, row in zip(contents, answer.json()["predictions"], strict=True):
            alone = server.post(content).json()
            assert row["error"] == alone["error"]


def test_the_interface_is_described_and_shown(server, promise):
    validate(promise.document)
    body = promise.document["paths"]["/predict"]["post"]["requestBody"]["content"]
    assert set(body) == {
        "image/*",
        "application/octet-stream",
        "application/json",
        "multipart/form-data",
    }
    assert body["image/*"]["schema"] == {"type": "string", "format": "binary"}
    for path in ("/docs", "/"):
        page = server.client.get(path)
        assert page.headers["content-type"].startswith("text/html")
        assert page.headers["content-security-policy"].startswith("default-src 'none'; ")
        assert page.headers["x-content-type-options"] == "nosniff"
        addresses = re.findall(r"https?://[^\s\"'<]+", page.text)
        assert all(each.startswith(server.url) for each in addresses), "nothing from elsewhere"


def test_state(server, promise, project):
    assert promise.check(server.client.get("/health")) == {"status": "alive"}
    ready = server.client.get("/ready")
    assert (ready.status_code, promise.check(ready)["status"]) == (200, "ready")
    model = promise.check(server.client.get("/model"))
    assert (model["task"], model["classes"]) == ("classification", ["a/b", "c"])
    assert model["bytes"] == (project.folder / RESULTS.model).stat().st_size
    assert model["fingerprint"]["precision"] == "fp32"
    assert model["limits"]["max_pictures"] == MOST_PICTURES


def test_torch_is_in_the_process_of_the_version_alone(server):
    (resident,) = server.residents()
    assert "libtorch" in Path(f"/proc/{resident.pid}/maps").read_text()
    assert "libtorch" not in Path(f"/proc/{server.process.pid}/maps").read_text()


def test_a_full_queue_is_told_when_to_come_again_and_nothing_that_waits_is_lost(
    server, promise, pictures, expected
):
    """The process that predicts is stopped meanwhile, so that what waits stays waiting."""
    server.post(pictures[0])
    (resident,) = server.residents()
    resident.suspend()
    with ThreadPoolExecutor(4) as pool:
        try:
            waiting = [pool.submit(server.post_list, pictures[:4]) for _ in range(4)]
            until_answers(server, "/model", lambda answer: answer.json()["waiting"] == QUEUE)
            answer = server.post(pictures[0])
        finally:
            resident.resume()
        assert (answer.status_code, promise.check(answer)["error"]) == (
            429,
            f"queue_full: {QUEUE} items wait, and {QUEUE} may",
        )
        speed = server.client.get("/model").json()["pictures_per_second"]
        assert int(answer.headers["retry-after"]) == max(1, math.ceil(QUEUE / speed))
        for each in waiting:
            for row, right in zip(each.result().json()["predictions"], expected, strict=False):
                assert_equal(row, right)


def test_a_taken_port_is_exit_4_in_one_line(server, project):
    port = server.url.rpartition(":")[2]
    command = [sys.executable, "-m", "pipeline.cli", "serve", "artifacts/train", "--port", port]
    done = subprocess.run(
        command,
        cwd=project.folder,
        capture_output=True,
        text=True,
        check=False,
        env=ENVIRONMENT | {"PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 4
    assert done.stderr == (
        "error: rootstock serve: --host and --port: cannot listen there: Address already in use, "
        f"got '127.0.0.1:{port}' (choose another port, or end what listens there)\n"
    )


@pytest.mark.parametrize("host", ["nosuch.host.invalid", "a..b", "x" * 64])
def test_a_host_that_is_not_there_is_exit_2_in_one_line(capsys, host):
    assert main(["serve", "x", "--host", host]) == 2
    assert capsys.readouterr().err == (
        f"error: rootstock serve: --host: no such host, got '{host}' "
        "(name an address of this machine)\n"
    )


def test_a_model_that_is_not_there_is_exit_2_in_one_line(project):
    with serving("data", cwd=project.folder, wait=False) as server:
        assert server.process.wait(60) == 2
        time.sleep(0.2)
        assert server.lines[-1].startswith("error: data: must hold model.safetensors and bundle")
        assert "Traceback" not in server.log


@pytest.mark.parametrize(
    ("option", "value"),
    [("--port", "70000"), ("--queue", "0"), ("--timeout", "-1"), ("--poll", "x")],
)
def test_options_out_of_range_are_usage(capsys, option, value):
    with pytest.raises(SystemExit) as ended:
        main(["serve", "x", option, value])
    assert ended.value.code == 2
    assert f"argument {option}: " in capsys.readouterr().err.splitlines()[-1]


def test_the_last_thing_a_signal_ends_it_in_order(server, pictures):
    """Runs last: a request in flight is answered, then it exits as the signal says."""
    residents = server.residents()
    residents[0].suspend()
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(server.post, pictures[0])
        time.sleep(0.5)
        os.killpg(server.process.pid, signal.SIGTERM)  # as a terminal's Ctrl-C reaches all
        time.sleep(0.5)
        residents[0].resume()
        assert asked.result().status_code == 200
    assert server.process.wait(60) == 143
    assert not any(each.is_running() for each in residents)
    assert "Traceback" not in server.log
