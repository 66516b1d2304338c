"""Who may ask: the browser of the person who started the page, and no other page or user.

The token stands in the address after `#`, which browsers send to nobody; the page sends it as a
header, which a foreign page cannot. There is no cookie: browsers send those to every port.
"""

import secrets
from collections.abc import Mapping
from http import HTTPStatus

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

TOKEN_HEADER = "x-rootstock-token"
_LOCAL = ("localhost", "127.0.0.1", "[::1]")
_MOST_BYTES = 64_000
_HEADERS = {
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' blob: data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}


class Gate:
    """Wraps the application.

    Args:
        app: What answers.
        token: What the page must send with each question under /api/.
    """

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._token = token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or refuse it."""

        async def send_on(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        refusal = self._refusal(str(scope.get("path")), Headers(scope=scope))
        if refusal is None:
            await self._app(scope, receive, send_on)
        else:
            status, error = refusal
            await JSONResponse({"error": error}, status)(scope, receive, send_on)

    def _refusal(self, path: str, headers: Headers) -> tuple[HTTPStatus, str] | None:
        host = headers.get("host", "").lower()
        if host.rpartition(":")[0] not in _LOCAL and host not in _LOCAL:
            return HTTPStatus.FORBIDDEN, "host: only localhost is answered, by any port"
        if not path.startswith("/api/"):  # the page itself holds no data, and links may lead to it
            return None
        if not _is_same_origin(headers, host):
            return HTTPStatus.FORBIDDEN, "origin: another page may not ask"
        if not _is_equal(headers.get(TOKEN_HEADER, ""), self._token):
            return HTTPStatus.FORBIDDEN, "token: open the address that `rootstock review` printed"
        if int(headers.get("content-length") or 0) > _MOST_BYTES:
            return HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "body: too large"
        return None


def _is_same_origin(headers: Mapping[str, str], host: str) -> bool:
    origin = headers.get("origin")
    is_own = origin is None or origin.partition("://")[2] == host
    return is_own and headers.get("sec-fetch-site", "none") in ("none", "same-origin")


def _is_equal(sent: str, token: str) -> bool:
    return secrets.compare_digest(sent.encode(), token.encode())
