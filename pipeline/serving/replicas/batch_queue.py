"""What waits for a resident: items of all requests, in the order in which they came."""

import asyncio
import math
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Literal

from pipeline.serving.replicas.http_errors import Refusal

Row = dict[str, Any]
"""A prediction, as a resident gives it; or an explanation."""

_WEIGHT = 0.2
"""Of the newest batch in the measured speed."""


@dataclass(eq=False)
class Job:
    """One item that waits for its answer."""

    raw: bytes
    answer: "asyncio.Future[Row]"
    kind: Literal["predict", "explain"] = "predict"
    deaths: int = 0
    """Times that a resident died with it."""

    @property
    def is_wanted(self) -> bool:
        """Return whether anyone still waits: not after a timeout or a lost client."""
        return not self.answer.done()


@dataclass
class Queue:
    """The jobs of one resident; those that a resident died with come first, each alone.

    Args:
        most: Jobs that may wait.
        most_wait_s: By the measured speed; what would wait longer is refused.
        batch_size: Of a forward pass.
    """

    most: int
    most_wait_s: float
    batch_size: int
    speed: float | None = None
    """Items in a second, smoothed; None before the first batch."""

    is_closed: bool = False
    """Whether nothing comes any more."""

    _jobs: deque[Job] = field(default_factory=deque)
    _again: deque[Job] = field(default_factory=deque)
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    def __len__(self) -> int:
        return len(self._jobs) + len(self._again)

    def put(self, files: list[bytes], kind: Literal["predict", "explain"]) -> list[Job]:
        """Add items, all or none.

        Raises:
            Refusal: So many may not wait; it says when to come again, by the measured speed.
        """
        self._forget_unwanted()
        waiting = len(self)
        if waiting + len(files) > self.most:
            raise self._refusal(f"{waiting} items wait, and {self.most} may")
        # Work on what will be too late would make everything late. With nothing waiting, the speed
        # is measured anew, so that a slow moment does not shut the door for ever.
        if waiting and self.speed and (waiting + len(files)) / self.speed > self.most_wait_s:
            raise self._refusal(f"{waiting} items wait, and take too long")
        loop = asyncio.get_running_loop()
        jobs = [Job(raw, loop.create_future(), kind) for raw in files]
        self._jobs.extend(jobs)
        self._news.set()
        return jobs

    def _refusal(self, detail: str) -> Refusal:
        return Refusal(
            HTTPStatus.TOO_MANY_REQUESTS,
            "queue_full",
            detail,
            retry_after_s=self.delay_s(len(self)),
        )

    def put_back(self, jobs: list[Job]) -> None:
        """Add jobs whose resident died, each to be tried alone."""
        self._again.extend(jobs)
        self._news.set()

    def delay_s(self, items: int) -> int:
        """Return the whole seconds that so many items take, at least 1."""
        return max(1, math.ceil(items / self.speed)) if self.speed else 1

    def measure(self, items: int, seconds: float) -> None:
        """Learn from a batch how fast it goes."""
        now = items / max(seconds, 1e-6)
        self.speed = now if self.speed is None else self.speed + _WEIGHT * (now - self.speed)

    def close(self) -> None:
        """Let `next_batch` end when nothing waits."""
        self.is_closed = True
        self._news.set()

    def drain(self) -> list[Job]:
        """Take out all that waits."""
        jobs = [*self._again, *self._jobs]
        self._again.clear()
        self._jobs.clear()
        return jobs

    async def next_batch(self, patience_s: float) -> list[Job] | None:
        """Wait for jobs and take the next ones of one kind.

        Explanations and items that a resident died with are given one by one.

        Returns:
            Nothing when closed and empty; None when none came so long.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(patience_s):
                while True:
                    if batch := self._take():
                        return batch
                    if self.is_closed:
                        return []
                    self._news.clear()
                    await self._news.wait()
        return None

    def _forget_unwanted(self) -> None:
        """Drop jobs that nobody waits for, with their bytes; a resident may be long at work."""
        for jobs in (self._again, self._jobs):
            if not all(job.is_wanted for job in jobs):
                wanted = [job for job in jobs if job.is_wanted]
                jobs.clear()
                jobs.extend(wanted)

    def _take(self) -> list[Job]:
        while self._again:
            if (job := self._again.popleft()).is_wanted:
                return [job]
        batch: list[Job] = []
        most = self.batch_size
        while self._jobs and len(batch) < most:
            if not self._jobs[0].is_wanted:
                self._jobs.popleft()
                continue
            if self._jobs[0].kind == "explain":
                return batch or [self._jobs.popleft()]
            batch.append(self._jobs.popleft())
        return batch
