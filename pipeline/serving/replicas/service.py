"""What is served now, and what will be: follows an alias without losing a request.

The new version is loaded and has predicted once before it takes requests; the old one answers those
that it has, then ends. A version that cannot be loaded changes nothing, and is told as `pending`.
"""

import asyncio
import logging
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from pipeline.ground.errors import PipelineError
from pipeline.modality.shown.inputs import item_input
from pipeline.modality.table import MODALITIES
from pipeline.modality.types.items import Input
from pipeline.serving.replicas.http_errors import not_ready
from pipeline.serving.replicas.loader import Loader
from pipeline.serving.replicas.metrics import Metrics
from pipeline.serving.replicas.replica import Identity, Replica
from pipeline.version.fetch import Resolved

log = logging.getLogger(__name__)

_MOST_SKIPPED = 64
"""Looks at a version that could not be loaded, before it is tried again."""


@dataclass(frozen=True)
class Pending:
    """A version that should be served and is not, yet or at all."""

    version: str
    state: str
    """`loading`, or why it cannot be loaded."""


class Service:
    """Serves what a reference leads to.

    Args:
        loader: Knows what the reference leads to, and loads it.
        poll_s: Between two looks; None: look once.
        metrics: Counts batches.
    """

    def __init__(self, loader: Loader, *, poll_s: float | None, metrics: Metrics) -> None:
        self.pending: Pending | None = None
        self.swaps = 0
        self._loader = loader
        self._poll_s = poll_s
        self._metrics = metrics
        self._restarts_before = 0
        self._replica: Replica | None = None
        self._served: Resolved | None = None
        self._refused: str | None = None
        self._failures = self._skip = 0
        self._is_away = False
        self._follower: asyncio.Task[None] | None = None
        self._leaving: set[asyncio.Task[None]] = set()

    @property
    def replica(self) -> Replica:
        """The version that takes new requests.

        Raises:
            Refusal: There is none yet.
        """
        if self._replica is None:
            raise not_ready()
        return self._replica

    @property
    def identity(self) -> Identity | None:
        """What takes new requests; None while the first version is loaded."""
        return self._replica.identity if self._replica else None

    @property
    def input(self) -> Input:
        """How items are handed over; while nothing is served, the first modality's."""
        return self._replica.input if self._replica else item_input(MODALITIES[0])

    @property
    def restarts(self) -> int:
        """Of all processes of versions, from the start of the server."""
        return self._restarts_before + (self._replica.restarts if self._replica else 0)

    async def open(self) -> None:
        """Load the first version, then follow.

        Raises:
            PipelineError: It cannot be found or loaded.
        """
        found = await asyncio.to_thread(self._loader.look)
        self._adopt(await self._loader.load(found), found)
        if self._poll_s is not None:
            self._follower = asyncio.create_task(self._follow(self._poll_s))

    async def close(self, patience_s: float) -> None:
        """Answer what waits and end all residents.

        Args:
            patience_s: What is not answered by then is dropped.
        """
        if self._follower is not None:
            self._follower.cancel()
            with suppress(asyncio.CancelledError):
                await self._follower
        if self._replica is not None:
            await self._replica.close(patience_s)
        if self._leaving:
            await asyncio.wait(self._leaving, timeout=patience_s)

    async def _follow(self, poll_s: float) -> None:
        while True:
            await asyncio.sleep(poll_s)
            try:
                found = await asyncio.to_thread(self._loader.look)
            except Exception as error:
                if not self._is_away:
                    log.warning(
                        "the registry has no answer, %s stays: %s",
                        self._name(),
                        error,
                        exc_info=not isinstance(error, PipelineError),
                    )
                self._is_away = True
                continue
            if self._is_away:
                log.info("the registry answers again")
                self._is_away = False
            await self._consider(found)

    async def _consider(self, found: Resolved) -> None:
        """Serve another version; one that failed is tried again ever more rarely."""
        if self._served is not None and found.key == self._served.key:
            self.pending = self._refused = None
        elif found.key != self._refused:
            self._failures = 0
            await self._swap(found)
        else:
            self._skip -= 1
            if self._skip <= 0:
                await self._swap(found)

    async def _swap(self, found: Resolved) -> None:
        self.pending = Pending(found.shown_version, "loading")
        try:
            replica = await self._loader.load(found)
        except Exception as error:  # noqa: BLE001 - whatever it is, the old version goes on
            self._refuse(found, error)
            return
        old = self._replica
        self._adopt(replica, found)
        self.pending = self._refused = None
        self.swaps += 1
        log.info("version %s is served now", found.shown_version)
        if old is not None:
            task = asyncio.create_task(old.close())
            self._leaving.add(task)
            task.add_done_callback(self._leaving.discard)

    def _adopt(self, replica: Replica, found: Resolved) -> None:
        self._restarts_before = self.restarts
        replica.on_batch = self._metrics.batch
        self._replica, self._served = replica, found

    def _refuse(self, found: Resolved, error: Exception) -> None:
        if not self._failures:
            log.warning(
                "version %s cannot be loaded, %s stays: %s",
                found.shown_version,
                self._name(),
                error,
                exc_info=not isinstance(error, PipelineError),
            )
        self.pending, self._refused = Pending(found.shown_version, "cannot be loaded"), found.key
        self._skip = min(2**self._failures, _MOST_SKIPPED)
        self._failures += 1

    def _name(self) -> str:
        return f"version {self._served.shown_version}" if self._served else "nothing"

    def status(self) -> dict[str, Any]:
        """Return what is served and what should be, as `/ready` and `/model` show it."""
        replica = self._replica
        pending = self.pending
        return {
            "status": "loading"
            if replica is None
            else "ready"
            if replica.is_answering
            else "restarting",
            "model": replica.identity.model if replica else None,
            "version": replica.identity.version if replica else None,
            "pending": {"version": pending.version, "state": pending.state} if pending else None,
        }
