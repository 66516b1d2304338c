"""One version being served: its resident process, what waits for it, and its recovery.

All that touches the resident is done in one thread of the replica's own, which lives as long as the
replica: a process may be tied to the thread that started it.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import Any, Literal, Protocol, TypeVar
from urllib.parse import quote

from pipeline.ground.errors import PipelineError
from pipeline.ground.tasks import answer_columns
from pipeline.modality.shown.inputs import item_input
from pipeline.modality.table import read_modality
from pipeline.modality.types.items import Input
from pipeline.serving.replicas.batch_queue import Job, Queue, Row
from pipeline.serving.replicas.http_errors import Refusal
from pipeline.serving.replicas.warmup import TOLERANCE, largest_difference

log = logging.getLogger(__name__)

T = TypeVar("T")

_PAUSES_S = (0.0, 1.0, 5.0, 15.0)
"""Before a resident is started anew: the n-th time in a row, at last the longest."""

_LOOK_S = 1.0
"""Between two looks at a resident that is not asked anything."""

_SHARE = 0.7
"""Of a request's time, that its items may wait; the rest is for being read and predicted."""

_SAMPLES = 3
"""Items that a version predicts before it takes requests."""

_DEATHS = 2
"""Of residents, with an item, after which the item is given up."""


class Resident(Protocol):
    """What a replica needs of `pipeline.version.process.resident.Resident`."""

    @property
    def alive(self) -> bool:
        """Return whether it can answer."""

    def predict(self, files: list[bytes], *, pad: bool) -> list[Row]:
        """Return a row for each item."""

    def explain(self, raw: bytes) -> Row:
        """Explain the prediction of one item."""

    def describe(self) -> dict[str, Any]:
        """Return what it serves."""

    def close(self) -> None:
        """End it."""


@dataclass(frozen=True)
class Identity:
    """What is served, as answers name it."""

    model: str
    version: str

    @property
    def headers(self) -> dict[str, str]:
        """Return the headers that name it in every answer."""
        return {"x-model": quote(self.model), "x-model-version": quote(self.version)}


class Replica:
    """Answers with one version.

    Args:
        identity: Of the version.
        start: Starts a resident, in a thread; raises PipelineError where it cannot be loaded.
        queue: Items that may wait.
        timeout_s: Of a request.
        stuck_s: Gives, for the size of a batch, the seconds after which a resident is taken to
            hang; it is ended and started anew.
        died: What a resident raises that died.
    """

    def __init__(
        self,
        identity: Identity,
        start: Callable[[], Resident],
        *,
        queue: int,
        timeout_s: float,
        stuck_s: Callable[[int], float],
        died: type[Exception],
    ) -> None:
        self.identity = identity
        self.facts: dict[str, Any] = {}
        self.restarts = 0
        self.on_batch: Callable[[int, float], None] = _pass
        """Called after each batch with its items and the seconds that it took."""

        self._start_resident = start
        self._find_stuck_s = stuck_s
        self._stuck_s = 0.0
        self._pad = False
        self._died = died
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"replica-{identity.version}")
        self._resident: Resident | None = None
        self._queue = Queue(queue, most_wait_s=_SHARE * timeout_s, batch_size=1)
        self._work: asyncio.Task[None] | None = None

    @property
    def is_answering(self) -> bool:
        """Return whether an item would be worked on now."""
        return self._resident is not None and self._resident.alive

    @property
    def columns(self) -> list[str]:
        """Names in a row but for `error`."""
        return answer_columns(self.facts["classes"])

    @property
    def input(self) -> Input:
        """How items are handed to it."""
        return item_input(read_modality(self.facts))

    @property
    def waiting(self) -> int:
        """Items that wait."""
        return len(self._queue)

    @property
    def speed(self) -> float | None:
        """Items in a second, as measured lately."""
        return self._queue.speed

    async def open(self) -> None:
        """Start the resident, ask what it is, and let it predict.

        Raises:
            PipelineError: The version cannot be loaded.
        """
        starting = asyncio.ensure_future(self._call(self._start_resident))
        try:
            self._resident = resident = await asyncio.shield(starting)
            self.facts = await self._call(resident.describe)
            self._queue.batch_size = int(self.facts["batch_size"])
            self._stuck_s = self._find_stuck_s(self._queue.batch_size)
            await self._choose_padding(resident)
        except BaseException:
            await self._give_up(starting)
            raise
        self._work = asyncio.create_task(self._answer_all())

    async def _choose_padding(self, resident: Resident) -> None:
        """Compute no more than is asked, where that gives the answers of full batches."""
        items = self.input.samples(min(_SAMPLES, self._queue.batch_size))
        full = await self._call(lambda: resident.predict(items, pad=True))
        for size in range(1, len(items) + 1):
            rows = await self._call(partial(resident.predict, items[:size], pad=False))
            if largest_difference(rows, full[:size]) > TOLERANCE:
                log.info("%s: batches are filled up, as their answers depend on it", self._name)
                self._pad = True
                return

    async def _give_up(self, starting: "asyncio.Future[Resident]") -> None:
        await asyncio.wait({starting})
        if not starting.cancelled() and starting.exception() is None:
            self._resident = starting.result()
        await self._end_resident()
        self._thread.shutdown(wait=False)

    async def close(self, patience_s: float | None = None) -> None:
        """Answer what waits, then end the resident.

        Args:
            patience_s: What is not answered by then is dropped; None: all is answered.
        """
        self._queue.close()
        if self._work is not None:
            _, late = await asyncio.wait({self._work}, timeout=patience_s)
            if late and self._resident is not None:
                self._work.cancel()
                await asyncio.to_thread(self._resident.close)
        await self._end_resident()
        self._thread.shutdown(wait=False)

    def submit(self, files: list[bytes], kind: Literal["predict", "explain"]) -> list[Job]:
        """Let items wait for their answers.

        Raises:
            Refusal: Too many wait.
        """
        return self._queue.put(files, kind)

    async def _answer_all(self) -> None:
        while (batch := await self._queue.next_batch(_LOOK_S)) != []:
            if not self.is_answering:  # it ended while nothing was asked
                await self._revive()
            if batch is None:
                continue
            try:
                await self._answer(batch)
            except (self._died, PipelineError) as error:
                self._bury(batch, error)
                await self._revive()
            except Exception as error:  # noqa: BLE001 - told to those who asked; the replica goes on
                for job in batch:
                    if job.is_wanted:
                        job.answer.set_exception(error)

    async def _answer(self, batch: list[Job]) -> None:
        if (resident := self._resident) is None:
            raise _not_starting()
        started = time.monotonic()
        files = [job.raw for job in batch]
        rows = await self._watched(lambda: resident.predict(files, pad=self._pad))
        if batch[0].kind == "explain":
            # Only what its decoders have survived.
            if rows[0]["error"] is None:
                rows = [{**await self._watched(lambda: resident.explain(files[0])), **rows[0]}]
        else:
            seconds = time.monotonic() - started
            self._queue.measure(len(batch), seconds)
            self.on_batch(len(batch), seconds)
        for job, row in zip(batch, rows, strict=True):
            if job.is_wanted:
                job.answer.set_result(row)

    async def _watched(self, call: Callable[[], T]) -> T:
        """Call in the replica's thread; a resident that is stuck is ended, which ends the call."""
        task = asyncio.ensure_future(self._call(call))
        done, _ = await asyncio.wait({task}, timeout=self._stuck_s)
        if not done and self._resident is not None:
            log.warning(
                "%s: no answer from its process within %g s: it is ended", self._name, self._stuck_s
            )
            await asyncio.to_thread(self._resident.close)
        return await task

    def _bury(self, batch: list[Job], error: Exception) -> None:
        """Keep the jobs of a resident that ended, but for those that it ended with twice."""
        log.warning("%s: its process ended with %d items: %s", self._name, len(batch), error)
        for job in batch:
            job.deaths += 1
            if not job.is_wanted or job.deaths < _DEATHS:
                continue
            if isinstance(error, PipelineError):  # not the item's fault
                job.answer.set_exception(_not_starting())
            else:
                job.answer.set_result(self._lost_row())
        self._queue.put_back([job for job in batch if job.is_wanted])

    def _lost_row(self) -> Row:
        error = "decoder_crashed: the process that predicts died with it, twice"
        return {**dict.fromkeys(self.columns), "error": error}

    async def _revive(self) -> None:
        """Start the resident anew, again and again; what waits longer than that is refused."""
        await self._end_resident()
        attempt = 0
        while not self._queue.is_closed or len(self._queue):
            await asyncio.sleep(_PAUSES_S[min(attempt, len(_PAUSES_S) - 1)])
            try:
                self._resident = await self._call(self._start_resident)
            except (PipelineError, self._died) as error:
                log.warning("%s: its process does not start: %s", self._name, error)
                self._refuse_all()
                attempt += 1
                continue
            self.restarts += 1
            log.info("%s: its process was restarted", self._name)
            return

    def _refuse_all(self) -> None:
        for job in self._queue.drain():
            if job.is_wanted:
                job.answer.set_exception(_not_starting())

    async def _end_resident(self) -> None:
        resident, self._resident = self._resident, None
        if resident is not None:
            with suppress(Exception):
                await self._call(resident.close)

    async def _call(self, call: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, call)

    @property
    def _name(self) -> str:
        return f"{self.identity.model} version {self.identity.version}"


def _pass(items: int, seconds: float) -> None:
    """Count nothing."""


def _not_starting() -> Refusal:
    return Refusal(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "not_ready",
        "the process that predicts does not work",
        retry_after_s=5,
    )
