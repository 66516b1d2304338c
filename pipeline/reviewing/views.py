"""Items for the page: raw files, decoded in confined processes."""

import hashlib
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from pipeline.compute.pool import Lost, Pool
from pipeline.ground.errors import PipelineError
from pipeline.modality.shown.viewing import viewer
from pipeline.modality.types.protocols import Look, View, ViewSize
from pipeline.raw.source import RawFault, read_raw

_SECONDS = 10.0
_PROCESSES = 2


@dataclass(frozen=True)
class Wanted:
    """What is asked for: the item's path in the raw folder, its SHA-256, and how large."""

    path: str
    id: str
    size: ViewSize


def render(raw: Path, modality: str, look: Look, wanted: Wanted) -> View | str:
    """Return an item as the page shows it, or in words why there is none."""
    try:
        content = read_raw(raw, wanted.path, look.limits.bytes)
        if hashlib.sha256(content).hexdigest() != wanted.id:
            return "`clean` read another file here (run `dvc repro`)"
        return viewer(modality).view(content, look, wanted.size)
    except RawFault as fault:
        return f"{fault.detail} (run `dvc pull`, if the data are not here)"
    except PipelineError as error:
        return str(error)


class Views:
    """Threads that each have a decoding process of their own.

    Args:
        raw: The data folder.
        modality: Of the items.
        look: What is not decoded.
    """

    def __init__(self, raw: Path, modality: str, look: Look) -> None:
        self._work = partial(render, raw, modality, look)
        self._limits = replace(look.limits, seconds=_SECONDS)
        self._local = threading.local()
        self._pools: list[Pool[Wanted, View | str]] = []
        self.threads = ThreadPoolExecutor(_PROCESSES, "views")

    def get(self, wanted: Wanted) -> View | str:
        """Return an item as it is shown, or why it is not; to be called on `threads` alone."""
        if not hasattr(self._local, "pool"):
            self._local.pool = Pool(self._work, 1, self._limits)
            self._pools.append(self._local.pool)
        with closing(self._local.pool.results([wanted])) as answers:
            answer = next(answers)
        return f"decoder_{answer.reason}: {answer.detail}" if isinstance(answer, Lost) else answer

    def close(self) -> None:
        """End threads and processes."""
        self.threads.shutdown(cancel_futures=True)
        for pool in self._pools:
            pool.close()
