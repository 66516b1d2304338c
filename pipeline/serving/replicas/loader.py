"""From a reference to a version at work: looked up, fetched, started, and warm."""

import asyncio
import logging
from functools import partial
from pathlib import Path
from typing import Any

from pipeline.ground.errors import IntegrityError, MachineError, PipelineError
from pipeline.ground.files import md5_file
from pipeline.modality.shown.inputs import item_input
from pipeline.serving.replicas.replica import Identity, Replica
from pipeline.version.fetch import ModelFolder, Resolved, fetch, resolve
from pipeline.version.process.resident import Resident, ResidentDied, ResidentOptions
from pipeline.version.version_metrics import read_metrics

log = logging.getLogger(__name__)

_LOCAL = "local"
"""Name of a model that is a folder: its path is nobody's business."""

_FORWARD_S = 60.0
"""For the network with one batch; a process that needs longer hangs."""


class Loader:
    """Looks up and loads what a reference leads to.

    Args:
        what: As `fetch_model` takes it.
        options: How versions are run.
        queue: Items that may wait for one.
        timeout_s: Of a request.
    """

    def __init__(
        self, what: str, options: ResidentOptions, *, queue: int, timeout_s: float
    ) -> None:
        self.what = what
        self._options = options
        self._queue = queue
        self._timeout_s = timeout_s

    @property
    def is_moving(self) -> bool:
        """Return whether the reference may lead to another version later."""
        return self.what.startswith("models:") and "@" in self.what

    def look(self) -> Resolved:
        """Return what the reference leads to now.

        Raises:
            PipelineError: Nothing, or the registry is away.
        """
        return resolve(self.what)

    async def load(self, found: Resolved) -> Replica:
        """Fetch a version and start it.

        Raises:
            PipelineError: It cannot be fetched or loaded.
        """
        folder = await asyncio.to_thread(fetch, found)
        bundle_md5 = await asyncio.to_thread(_md5, folder.bundle)
        identity = Identity(found.name or _LOCAL, found.shown_version)

        def start() -> Resident:
            resident = Resident(folder, self._options)
            try:  # when it has read them: they may be written at any time
                _refuse_other(folder.model, found.md5)
                _refuse_other(folder.bundle, bundle_md5)
            except BaseException:
                resident.close()
                raise
            return resident

        replica = Replica(
            identity,
            start,
            queue=self._queue,
            timeout_s=self._timeout_s,
            stuck_s=partial(self._stuck_s, self._options.seconds or _seconds(folder)),
            died=ResidentDied,
        )
        try:
            await replica.open()
        except ResidentDied as error:
            raise MachineError(
                self.what, f"cannot be loaded: {error}", remedy="it may need more memory"
            ) from error
        replica.facts |= await asyncio.to_thread(_facts, folder)
        return replica

    def _stuck_s(self, seconds: float, batch_size: int) -> float:
        """Return how long a batch takes at most: each item may be read twice."""
        return _FORWARD_S + 2 * seconds * batch_size / self._options.decoders


def _seconds(folder: ModelFolder) -> float:
    """Return the seconds for reading one item, where nobody said less."""
    return item_input(folder.modality).seconds


def _md5(path: Path) -> str | None:
    """Return the digest of a file; None where it is not there."""
    try:
        return md5_file(path)
    except OSError:
        return None


def _refuse_other(path: Path, md5: str | None) -> None:
    """Hold a file of a version against what it was when the version was found.

    Raises:
        IntegrityError: It is another one, or gone.
    """
    now = _md5(path)
    if now != md5:
        raise IntegrityError(
            path,
            f"must be what it was when this version was found, md5 {md5}",
            got=now,
            remedy="start the server again to serve what is there now",
        )


def _facts(folder: ModelFolder) -> dict[str, Any]:
    """Return what a process cannot tell of its version."""
    facts: dict[str, Any] = {"bytes": folder.model.stat().st_size, "metrics": None}
    if folder.name is None:
        return facts
    try:
        facts["metrics"] = read_metrics(folder.uri)
    except PipelineError as error:
        log.warning("%s: its metrics are not known: %s", folder.uri, error)
    return facts
