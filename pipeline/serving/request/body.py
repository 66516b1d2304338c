"""The body of a request: read and unpacked no further than the limit."""

import asyncio
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus

from starlette.requests import Request

from pipeline.serving.replicas.http_errors import Refusal, malformed, too_many_bytes
from pipeline.serving.replicas.limits import Limits

_GZIP = 16 + zlib.MAX_WBITS
_CODINGS = ("gzip", "x-gzip", "deflate")
_MOST_CODINGS = 2
"""One around another: a proxy may pack what a client has packed."""


_MOST_MEMBERS = 100
"""Of a gzip body, one after another; each costs a look at all that follows."""


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
            raise Refusal(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "busy",
                "too many large requests at once",
                retry_after_s=1,
            )
        self.now += size

    def give(self, size: int) -> None:
        """Count some bytes less."""
        self.now -= size


@asynccontextmanager
async def read_body(request: Request, limits: Limits, held: Held) -> AsyncIterator[bytes]:
    """Read a body, and unpack it; its bytes count as held until the block is left.

    Raises:
        Refusal: It has more bytes than it may, none came for too long, or it cannot be unpacked.
    """
    codings = _codings(request)
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > limits.max_bytes:
        raise too_many_bytes(limits.max_bytes)
    content = bytearray()
    unpacked = b""
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
                HTTPStatus.REQUEST_TIMEOUT,
                "body_timeout",
                f"the body did not arrive within {limits.timeout_s:g} s",
            ) from None
        if codings:
            found = await asyncio.to_thread(_unpack, bytes(content), codings, limits.max_bytes)
            held.take(len(found))
            unpacked = found
        yield unpacked if codings else bytes(content)
    finally:
        held.give(len(content) + len(unpacked))


def _codings(request: Request) -> list[str]:
    """Return how the body is packed, the last coding first.

    Raises:
        Refusal: It is packed in a way that is not read here.
    """
    names = request.headers.get("content-encoding", "").lower().split(",")
    codings = [name.strip() for name in names if name.strip() not in ("", "identity")]
    unknown = [name for name in codings if name not in _CODINGS]
    if unknown or len(codings) > _MOST_CODINGS:
        raise Refusal(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            "content_encoding",
            f"Content-Encoding must be gzip or deflate, got {', '.join(codings)[:80]!r}",
            headers={"accept-encoding": "gzip, deflate"},
        )
    return codings[::-1]


def _unpack(content: bytes, codings: list[str], most: int) -> bytes:
    for coding in codings:
        content = _inflate(content, coding, most)
    return content


def _inflate(content: bytes, coding: str, most: int) -> bytes:
    """Unpack one coding, to `most` bytes and no further: a small body may stand for a huge one.

    Raises:
        Refusal: It is damaged, cut off, or has more bytes.
    """
    found = bytearray()
    for _ in range(_MOST_MEMBERS):
        if not content.strip(b"\0"):  # padding
            return bytes(found)
        engine = zlib.decompressobj(_GZIP if "gzip" in coding else _deflate_bits(content))
        try:
            found += engine.decompress(content, most + 1 - len(found))
        except zlib.error as error:
            raise malformed(
                "content_encoding", f"the body is no {coding}: {str(error).partition(': ')[2]}"
            ) from None
        if len(found) > most:
            raise too_many_bytes(most)
        if not engine.eof:
            raise malformed("content_encoding", f"the body is cut off: its {coding} has no end")
        content = engine.unused_data
    raise malformed("content_encoding", f"the body has over {_MOST_MEMBERS} members")


def _deflate_bits(content: bytes) -> int:
    """Return the window size of zlib's form, or of the bare form that some clients send."""
    is_zlib = content[0] & 15 == zlib.DEFLATED and int.from_bytes(content[:2], "big") % 31 == 0
    return zlib.MAX_WBITS if is_zlib else -zlib.MAX_WBITS
