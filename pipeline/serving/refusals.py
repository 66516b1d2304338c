"""What the server says no to: a status, a code, and a reason that names no file of the server."""

from http import HTTPStatus


class Refusal(Exception):
    """A request that is not answered with a prediction.

    Args:
        status: HTTP's.
        code: One word for programs; the same codes as in a row's `error`.
        detail: The reason in words.
        retry_after_s: When it may be tried again.
    """

    def __init__(
        self, status: HTTPStatus, code: str, detail: str, *, retry_after_s: int | None = None
    ) -> None:
        super().__init__(f"{code}: {detail}")
        self.status = status
        self.retry_after_s = retry_after_s


def too_many_bytes(most: int) -> Refusal:
    """Give the refusal of a body over the limit."""
    return Refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too_many_bytes",
                   f"a request may have {most} bytes")  # fmt: skip


def not_ready() -> Refusal:
    """Give the refusal while no model is loaded."""
    return Refusal(HTTPStatus.SERVICE_UNAVAILABLE, "not_ready", "the model is being loaded",
                   retry_after_s=2)  # fmt: skip


def too_late(seconds: float) -> Refusal:
    """Give the refusal of a request that was not answered in time."""
    return Refusal(HTTPStatus.GATEWAY_TIMEOUT, "timeout", f"no answer within {seconds:g} s")
