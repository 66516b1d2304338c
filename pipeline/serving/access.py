"""Who may ask: tokens, and the web pages of other origins."""

import hmac
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

from starlette.requests import Request

from pipeline.ground.errors import ParamsError
from pipeline.serving.replicas.http_errors import Refusal
from pipeline.serving.request.tokens import sent_token

VARIABLE = "ROOTSTOCK_TOKEN"
"""Environment variable with a token: a command line can be read by others on the machine."""

_TOKEN = re.compile(r"[\x21-\x7e]{16,512}")
_ORIGIN = re.compile(r"https?://[a-z0-9.-]+(?::\d{1,5})?|https?://\[[0-9a-f:.]+\](?::\d{1,5})?")


@dataclass(frozen=True)
class Access:
    """What lets a request in.

    Attributes:
        tokens: Each opens the server; none: it is open.
        origins: Of web pages that may read answers, as browsers send them; `*`: of all.
    """

    tokens: tuple[bytes, ...] = ()
    origins: tuple[str, ...] = ()

    async def check(self, request: Request) -> None:
        """Let a request in that has a token.

        Raises:
            Refusal: It has none, or another one.
        """
        given = sent_token(request)
        # All are compared, each in constant time: the time says nothing of any.
        if sum(hmac.compare_digest(given.encode(), token) for token in self.tokens):
            return
        raise Refusal(
            HTTPStatus.UNAUTHORIZED,
            "unauthorized",
            "this token is not known" if given else "send `Authorization: Bearer <token>`",
            headers={
                "www-authenticate": 'Bearer realm="rootstock"'
                + (', error="invalid_token"' if given else "")
            },
        )


def read_access(token_file: Path | None, origins: Sequence[str]) -> Access:
    """Return what lets requests in.

    Args:
        token_file: A token a line; `#` begins a comment.
        origins: Of web pages.

    Raises:
        ParamsError: The file cannot be read or has no token, or a value has another form.
    """
    tokens = [] if token_file is None else _read_tokens(token_file)
    # Taken out: the processes of versions, which this one starts, have no use for it.
    if (named := os.environ.pop(VARIABLE, None)) is not None:
        tokens.append(_check_token(VARIABLE, named.strip()))
    return Access(tuple(tokens), tuple(_check_origin(each) for each in origins))


def _read_tokens(path: Path) -> list[bytes]:
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no text"
        raise ParamsError(
            path, f"cannot be read: {reason}", remedy="name a file with a token a line"
        ) from error
    texts = [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]
    if not texts:
        raise ParamsError(path, "must hold a token", remedy="write one with `openssl rand -hex 32`")
    return [_check_token(str(path), text) for text in texts]


def _check_token(place: str, text: str) -> bytes:
    if not _TOKEN.fullmatch(text):  # its text is told to nobody
        raise ParamsError(
            place,
            f"a token must be 16 to 512 characters of ASCII without blanks, got {len(text)}",
            remedy="write one with `openssl rand -hex 32`",
        )
    return text.encode()


def _check_origin(text: str) -> str:
    origin = text.strip().lower().removesuffix("/")
    if origin != "*" and not _ORIGIN.fullmatch(origin):
        raise ParamsError(
            "rootstock serve",
            "must be `*`, or scheme, host and port as a browser sends them",
            field="--cors-origin",
            got=text,
            remedy="such as https://example.org or http://localhost:3000",
        )
    return origin
