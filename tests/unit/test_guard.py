"""What nobody foresaw is logged whole and answered with the number of the entry alone."""

import asyncio
import logging

import httpx

from pipeline.serving.guard import Guard

NAMED = {"x-model": "cells", "x-model-version": "3"}


def ask(app, **options):
    async def run():
        transport = httpx.ASGITransport(Guard(app, lambda: NAMED))
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
    assert content == {"error": f"failed: see entry {content['id']} of the server's log",
                       "id": content["id"], "model": "cells", "version": "3"}  # fmt: skip
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
