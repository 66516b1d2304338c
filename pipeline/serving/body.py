"""The body of a request: read no further than the limit, and its pictures taken out."""

import asyncio
import base64
import binascii
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any

from starlette.requests import Request

from pipeline.serving.limits import Limits
from pipeline.serving.refusals import Refusal, too_many_bytes

JSON = "application/json"
BYTES = "application/octet-stream"
_KEY = "images"
_INLINE_BYTES = 256_000
"""Smaller lists are unpacked at once, larger ones in a thread: others are answered meanwhile."""


class Held:
    """Counts the bytes of all bodies in memory, so that many large ones cannot fill it."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.now = 0

    def take(self, size: int) -> None:
        """Count some bytes more.

        Raises:
            Refusal: There are too many.
        """
        if self.now + size > self.most:
            raise Refusal(HTTPStatus.SERVICE_UNAVAILABLE, "busy",
                          "too many large requests at once", retry_after_s=1)  # fmt: skip
        self.now += size

    def give(self, size: int) -> None:
        """Count some bytes less."""
        self.now -= size


def media_type(request: Request) -> str:
    """Give what the body is: `application/json`, or anything else that is a picture's bytes.

    Raises:
        Refusal: Neither a picture nor JSON, or compressed.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if request.headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise Refusal(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "content_encoding",
                      "the body must not be compressed")  # fmt: skip
    if kind in (JSON, BYTES) or (kind.startswith("image/") and len(kind) > len("image/")):
        return kind
    raise Refusal(
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "media_type",
        f"Content-Type must be image/*, {BYTES} or {JSON}, "
        + (f"got {kind[:80]!r}" if kind else "and is missing"),
    )  # fmt: skip


@asynccontextmanager
async def read_body(request: Request, limits: Limits, held: Held) -> AsyncIterator[bytes]:
    """Read a body; its bytes count as held until the block is left.

    Raises:
        Refusal: It has more bytes than it may, or none came for too long.
    """
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > limits.max_bytes:
        raise too_many_bytes(limits.max_bytes)
    content = bytearray()
    try:
        try:
            async with asyncio.timeout(limits.timeout_s):
                async for chunk in request.stream():
                    held.take(len(chunk))
                    content += chunk
                    if len(content) > limits.max_bytes:
                        raise too_many_bytes(limits.max_bytes)
        except TimeoutError:
            raise Refusal(
                HTTPStatus.REQUEST_TIMEOUT, "body_timeout",
                f"the body did not arrive within {limits.timeout_s:g} s",
            ) from None  # fmt: skip
        yield bytes(content)
    finally:
        held.give(len(content))


async def unpack(body: bytes, limits: Limits) -> list[bytes]:
    """Take the pictures out of `{"images": ["<base64>", ...]}`.

    Raises:
        Refusal: It is no JSON, not of this form, or has too many pictures.
    """
    if len(body) < _INLINE_BYTES:
        return _unpack(body, limits.max_pictures)
    return await asyncio.to_thread(_unpack, body, limits.max_pictures)


def _unpack(body: bytes, most: int) -> list[bytes]:
    texts = _parse(body)
    if len(texts) > most:
        raise Refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too_many_pictures",
                      f"a request may have {most} pictures, got {len(texts)}")  # fmt: skip
    if not texts:
        raise _unprocessable("json_form", f'"{_KEY}" must not be empty')
    return [_decode(text, number) for number, text in enumerate(texts)]


def _parse(body: bytes) -> list[Any]:
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        raise Refusal(HTTPStatus.BAD_REQUEST, "json", "the body is not JSON") from None
    if not isinstance(content, dict) or not isinstance(content.get(_KEY), list):
        raise _unprocessable("json_form", f'the body must be {{"{_KEY}": ["<base64>", ...]}}')
    if unknown := [key for key in content if key != _KEY]:
        raise _unprocessable("json_form", f'the only key is "{_KEY}", got {unknown[0][:80]!r} too')
    return list(content[_KEY])


def _decode(text: Any, number: int) -> bytes:
    try:
        if not isinstance(text, str):
            raise TypeError
        return base64.b64decode(text, validate=True)
    except (TypeError, ValueError, binascii.Error):
        raise _unprocessable("base64", f"{_KEY}[{number}] is not base64") from None


def _unprocessable(code: str, detail: str) -> Refusal:
    return Refusal(HTTPStatus.UNPROCESSABLE_ENTITY, code, detail)
