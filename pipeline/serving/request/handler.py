"""From a request to rows: its body is read, its items wait for the version, and are counted."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from http import HTTPStatus
from typing import Any, Literal, Protocol, TypeVar

from starlette.requests import ClientDisconnect, Request

from pipeline.serving.replicas.batch_queue import Job, Row
from pipeline.serving.replicas.http_errors import Refusal, too_late, unprocessable
from pipeline.serving.replicas.limits import Limits
from pipeline.serving.replicas.metrics import Metrics
from pipeline.serving.replicas.replica import Replica
from pipeline.serving.replicas.service import Service
from pipeline.serving.request.body import Held, read_body
from pipeline.serving.request.disclosure import Disclosure
from pipeline.serving.request.parse import Parsed, parse_body
from pipeline.serving.request.rates import Rates
from pipeline.serving.request.shapes import Shapes


class HasItems(Protocol):
    """What is read out of a body."""

    @property
    def items(self) -> Sequence[bytes]:
        """As they were in files."""


T = TypeVar("T", bound=HasItems)


class Handler:
    """Answers requests with the version that is served.

    Args:
        service: What is served.
        limits: Of requests.
        metrics: Counts items.
        disclosure: What goes out of answers.
        rates: How often each client may ask.
    """

    def __init__(
        self,
        service: Service,
        limits: Limits,
        metrics: Metrics,
        disclosure: Disclosure,
        rates: Rates,
    ) -> None:
        self.disclosure = disclosure
        self._rates = rates
        self._service = service
        self._limits = limits
        self._metrics = metrics
        self._held = Held(limits.max_bytes_held)

    async def answer(
        self, request: Request, kind: Literal["predict", "explain"] = "predict"
    ) -> tuple[Replica, list[Row], Parsed]:
        """Answer a body in any form of `pipeline.serving.request.parse`.

        Raises:
            Refusal: It is not answered.
        """

        async def read(body: bytes, shapes: Shapes) -> Parsed:
            return await parse_body(body, request.headers.get("content-type", ""), shapes)

        return await self.answer_as(request, read, kind)

    async def answer_as(
        self,
        request: Request,
        read: Callable[[bytes, Shapes], Awaitable[T]],
        kind: Literal["predict", "explain"] = "predict",
    ) -> tuple[Replica, list[Row], T]:
        """Answer a body in a form of its own.

        Args:
            request: The request.
            read: Takes the items out of a body.
            kind: What is done with them.

        Returns:
            What answered, a row for each item in their order, and what was read.

        Raises:
            Refusal: It is not answered.
        """
        ends = asyncio.get_running_loop().time() + self._limits.timeout_s
        self._rates.take(request, 1)
        async with read_body(request, self._limits, self._held) as body:
            item = self._service.input
            parsed = await read(body, Shapes(item, self._limits.max_items))
            files = list(parsed.items)
            self._rates.take(request, len(files) - 1)
            if kind == "explain" and len(files) > 1:
                raise unprocessable(
                    f"too_many_{item.many}", f"one {item.one} is explained at a time"
                )
            replica = self._service.replica  # of now: until here another version may have come
            explains = replica.facts.get("explains") and self.disclosure.explains
            if kind == "explain" and not explains:
                raise Refusal(
                    HTTPStatus.NOT_FOUND, "no_explanation", "this version is not explained here"
                )
            rows = await _wait(request, replica.submit(files, kind), ends, self._limits.timeout_s)
        for row in rows:
            self._metrics.item(row.get("error"))
        return replica, [self.disclosure.row(row) for row in rows], parsed


async def _wait(request: Request, jobs: list[Job], ends: float, timeout_s: float) -> list[Row]:
    """Wait for answers, while the client is there and there is time; give the jobs up else."""
    answers: asyncio.Future[list[Row]] = asyncio.gather(*(job.answer for job in jobs))
    answers.add_done_callback(_look_at)
    gone = asyncio.ensure_future(_disconnect(request))
    try:
        left = max(0.0, ends - asyncio.get_running_loop().time())
        either: set[asyncio.Future[Any]] = {answers, gone}
        await asyncio.wait(either, timeout=left, return_when=asyncio.FIRST_COMPLETED)
        if answers.done():
            return answers.result()
        if gone.done():
            raise ClientDisconnect
        raise too_late(timeout_s)
    finally:
        gone.cancel()
        answers.cancel()


def _look_at(answers: "asyncio.Future[list[Row]]") -> None:
    """Take note of an error that nobody waits for any more, lest asyncio complains."""
    if not answers.cancelled():
        answers.exception()


async def _disconnect(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
