"""Around every request: nothing unforeseen gets out, and an answer arrives before the end."""

import asyncio
import json
import logging
import re
import secrets
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pipeline.serving.replicas.metrics import Metrics

log = logging.getLogger(__name__)

_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_ADDRESS = re.compile(r"https?://[^/]*", re.IGNORECASE)
_DRAIN_S = 1.0
_DRAIN_BYTES = 8_000_000
"""Read of a refused body, and thrown away, so that the client gets to read the answer."""

_HEADERS = {
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "content-security-policy": "default-src 'none'",
}


class Guard:
    """Wraps an application.

    Args:
        app: What answers.
        named: Returns the headers that name the model; an answer that has them keeps its own.
        metrics: Counts requests.
    """

    def __init__(
        self, app: ASGIApp, named: Callable[[], Mapping[str, str]], metrics: Metrics
    ) -> None:
        self._app = app
        self._named = named
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        method, started = scope["method"], time.perf_counter()
        scope = {**scope, "path": _clean_path(scope["path"], method)}
        if method == "HEAD":  # as GET; the server that speaks HTTP leaves the body out
            scope = {**scope, "method": "GET"}
        exchange = _Exchange(scope, receive, send, self._named)
        try:
            await self._answer(scope, exchange)
        finally:
            path = getattr(scope.get("route"), "path", "other")
            known = method if method in _METHODS else "other"
            self._metrics.requests.add(path, known, str(exchange.status))
            self._metrics.seconds.observe(time.perf_counter() - started, path)

    async def _answer(self, scope: Scope, exchange: "_Exchange") -> None:
        try:
            await self._app(scope, exchange.receive, exchange.send)
        except Exception:  # logged whole; the client gets the number of the entry
            number = secrets.token_hex(4)
            log.exception("request %s failed", number)
            if exchange.status:
                raise
            await exchange.fail(number)


def _clean_path(path: str, method: str) -> str:
    """Return a path without the scheme and host that a client of a proxy puts before it.

    Of a POST, slashes too many are left out, as `http://host/` + `/predict/` makes them; the links
    of pages would lead elsewhere from another depth.
    """
    path = _ADDRESS.sub("", path) or "/"
    return re.sub("/+", "/", path).rstrip("/") or "/" if method == "POST" else path


class _Exchange:
    """One request and its answer."""

    def __init__(
        self, scope: Scope, receive: Receive, send: Send, named: Callable[[], Mapping[str, str]]
    ) -> None:
        headers = dict(scope["headers"])
        self.status = 0
        """Of the answer; 0 before it begins."""

        self._receive = receive
        self._send = send
        self._named = named
        self._is_awaited = (
            headers.get(b"content-length", b"0") != b"0" or b"transfer-encoding" in headers
        )
        self._may_drain = b"expect" not in headers

    async def receive(self) -> Message:
        self._may_drain = True  # what was expected, 100 Continue, goes out with the first look
        message = await self._receive()
        if message["type"] == "http.disconnect" or not message.get("more_body", False):
            self._is_awaited = False
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            for name, value in {**_HEADERS, **self._named()}.items():
                headers.setdefault(name, value)
            if self._is_awaited:
                headers["connection"] = "close"
        elif self._is_awaited and not message.get("more_body", False):
            await self._send({**message, "more_body": True})
            await self._drain()
            message = {"type": "http.response.body", "body": b"", "more_body": False}
        await self._send(message)

    async def _drain(self) -> None:
        """Read on for a moment: a connection that is closed on unread bytes loses the answer."""
        read = 0
        with suppress(TimeoutError):
            async with asyncio.timeout(_DRAIN_S):
                while self._may_drain and self._is_awaited and read < _DRAIN_BYTES:
                    read += len((await self.receive()).get("body", b""))

    async def fail(self, number: str) -> None:
        content: dict[str, Any] = {
            "error": f"failed: see entry {number} of the server's log",
            "id": number,
            **_fields(self._named()),
        }
        body = json.dumps(content).encode()
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
            (b"retry-after", b"1"),
        ]
        await self.send({"type": "http.response.start", "status": 503, "headers": headers})
        await self.send({"type": "http.response.body", "body": body})


def _fields(named: Mapping[str, str]) -> dict[str, str | None]:
    return {"model": named.get("x-model"), "version": named.get("x-model-version")}
