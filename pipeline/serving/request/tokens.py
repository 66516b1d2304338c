"""The token that a request comes with."""

from starlette.requests import Request


def sent_token(request: Request) -> str:
    """Return the token that a request came with, known or not; empty without one."""
    scheme, _, bearer = request.headers.get("authorization", "").partition(" ")
    given = bearer.strip() if scheme.lower() == "bearer" else ""
    return given or request.headers.get("x-api-key", "").strip()
