"""What the server says no to: a status, a code, and a reason that names no file of the server."""

from collections.abc import Mapping
from http import HTTPStatus


class Refusal(Exception):
    """A request that is not answered with a prediction.

    Args:
        status: HTTP's.
        code: One word for programs; the same codes as in a row's `error`.
        detail: The reason in words.
        retry_after_s: When it may be tried again.
        headers: Further ones of the answer.
    """

    def __init__(
        self,
        status: HTTPStatus,
        code: str,
        detail: str,
        *,
        retry_after_s: int | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(f"{code}: {detail}")
        self.status = status
        self.code = code
        later = {"retry-after": str(retry_after_s)} if retry_after_s else {}
        self.headers = {**later, **(headers or {})}


def malformed(code: str, detail: str) -> Refusal:
    """Return the refusal of a body that is not what it says it is."""
    return Refusal(HTTPStatus.BAD_REQUEST, code, detail)


def unprocessable(code: str, detail: str) -> Refusal:
    """Return the refusal of a body that can be read and asks for nothing that is done here."""
    return Refusal(HTTPStatus.UNPROCESSABLE_ENTITY, code, detail)


def too_many_bytes(most: int) -> Refusal:
    """Return the refusal of a body over the limit, as it was sent or unpacked."""
    return Refusal(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too_many_bytes", f"a request may have {most} bytes"
    )


def too_many(items: str, most: int, got: int) -> Refusal:
    """Return the refusal of a body with more items than the limit."""
    return Refusal(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        f"too_many_{items}",
        f"a request may have {most} {items}, got {got}",
    )


def not_ready() -> Refusal:
    """Return the refusal while no model is loaded."""
    return Refusal(
        HTTPStatus.SERVICE_UNAVAILABLE, "not_ready", "the model is being loaded", retry_after_s=2
    )


def too_late(seconds: float) -> Refusal:
    """Return the refusal of a request that was not answered in time."""
    return Refusal(HTTPStatus.GATEWAY_TIMEOUT, "timeout", f"no answer within {seconds:g} s")
