"""What nobody foresaw is logged whole and answered with the number of the entry alone."""

import asyncio
import logging

import httpx
import pytest

from pipeline.serving.middleware import Guard
from pipeline.serving.replicas.metrics import Metrics

NAMED = {"x-model": "cells", "x-model-version": "3"}


def ask(app, **options):
    async def run():
        transport = httpx.ASGITransport(Guard(app, lambda: NAMED, Metrics()))
        async with httpx.AsyncClient(transport=transport, base_url="http://server") as client:
            return await client.post("/predict", **options)

    return asyncio.run(run())


async def failing(scope, receive, send):
    raise RuntimeError("/home/somebody/secret.py is broken")


def test_a_failure_of_ours_has_a_number_and_no_details(caplog):
    with caplog.at_level(logging.ERROR):
        answer = ask(failing)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    content = answer.json()
    assert content == {
        "error": f"failed: see entry {content['id']} of the server's log",
        "id": content["id"],
        "model": "cells",
        "version": "3",
    }
    (entry,) = caplog.records
    assert content["id"] in entry.getMessage()
    assert "secret.py is broken" in caplog.text


async def naming(scope, receive, send):
    headers = [(b"x-model-version", b"2")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"{}"})


def test_an_answer_keeps_the_version_that_gave_it():
    answer = ask(naming)
    assert (answer.headers["x-model"], answer.headers["x-model-version"]) == ("cells", "2")
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_a_body_that_was_not_read_ends_the_connection():
    assert ask(naming, content=b"unread").headers["connection"] == "close"
    assert "connection" not in ask(naming).headers


def looking(looks):
    """Give an application that refuses a body after so many looks at it."""

    async def app(scope, receive, send):
        for _ in range(looks):
            await receive()
        await send({"type": "http.response.start", "status": 413, "headers": []})
        await send({"type": "http.response.body", "body": b"{}"})

    return app


@pytest.mark.parametrize(
    ("expects", "looks", "read"), [(False, 0, 4), (False, 1, 4), (True, 0, 0), (True, 1, 4)]
)
def test_what_a_client_goes_on_sending_is_read_before_the_end(expects, looks, read):
    """One that waits for 100 Continue sends nothing before the application has looked."""
    parts = [{"type": "http.request", "body": b"x", "more_body": n < 3} for n in range(4)]
    sent = []

    async def receive():
        return parts.pop(0)

    async def send(message):
        sent.append((message["type"], message.get("more_body", False), len(parts)))

    headers = [(b"content-length", b"4"), *([(b"expect", b"100-continue")] if expects else [])]
    scope = {"type": "http", "method": "POST", "path": "/predict", "headers": headers}
    asyncio.run(Guard(looking(looks), lambda: NAMED, Metrics())(scope, receive, send))
    assert sent == [
        ("http.response.start", False, 4 - looks),
        ("http.response.body", True, 4 - looks),
        ("http.response.body", False, 4 - read),
    ]
