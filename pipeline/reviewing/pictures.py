"""Pictures for the page: raw files, decoded in confined processes and sent as PNG or JPEG."""

import hashlib
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from pipeline.compute.pool import Lost, Pool
from pipeline.ground.errors import PipelineError
from pipeline.picture.read.limits import item_limits
from pipeline.picture.read.probe import Limits
from pipeline.picture.read.spec import Pixels, UndecodableImage
from pipeline.picture.show.preview import encode_jpeg, encode_png, shrink
from pipeline.raw.source import RawFault, read_raw

Size = Literal["thumb", "view", "full"]
"""A small one for strips; one that fills a screen; all pixels."""

_SIDES: dict[Size, int] = {"thumb": 200, "view": 1400, "full": 1 << 30}
_MAX_BYTES: dict[Size, int] = {"thumb": 20_000, "view": 1_500_000, "full": 24_000_000}
_LOSSLESS_PX = 640
"""Pictures up to this side are sent as they are, to the last bit."""

_SECONDS = 10.0
_PROCESSES = 2


@dataclass(frozen=True)
class Wanted:
    """What is asked for: the item's path in the raw folder, its SHA-256, and how large."""

    path: str
    id: str
    size: Size


def render(raw: Path, limits: Limits, wanted: Wanted) -> bytes | str:
    """Return an encoded picture, or in words why there is none."""
    content = b""
    try:
        content = read_raw(raw, wanted.path, item_limits(limits.max_pixels).bytes)
        if hashlib.sha256(content).hexdigest() != wanted.id:
            return "`clean` read another file here (run `dvc repro`)"
        return _encode(limits.open(content).pixels, wanted.size)
    except UndecodableImage as error:
        return f"{error.reason}: {error.detail}; the file has {len(content):,} bytes"
    except RawFault as fault:
        return f"{fault.detail} (run `dvc pull`, if the data are not here)"
    except PipelineError as error:
        return str(error)


def _encode(pixels: Pixels, size: Size) -> bytes:
    small = shrink(pixels, _SIDES[size])
    if size != "thumb" and max(pixels.shape[:2]) <= _LOSSLESS_PX:
        return encode_png(small)
    return encode_jpeg(small, _MAX_BYTES[size])


class Pictures:
    """Threads that each have a decoding process of their own.

    Args:
        raw: The data folder.
        limits: What is not decoded.
    """

    def __init__(self, raw: Path, limits: Limits) -> None:
        self._work = partial(render, raw, limits)
        self._limits = item_limits(limits.max_pixels, _SECONDS)
        self._local = threading.local()
        self._pools: list[Pool[Wanted, bytes | str]] = []
        self.threads = ThreadPoolExecutor(_PROCESSES, "pictures")

    def get(self, wanted: Wanted) -> bytes | str:
        """Return an encoded picture, or why there is none; to be called on `threads` alone."""
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
