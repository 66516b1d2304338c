"""A version in a process of its own, seen from here: ask it, and be told when it dies."""

import logging
import os
import signal
import socket
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

from pipeline.ground.errors import again
from pipeline.ground.files import read_json
from pipeline.ground.processes import QUIET, sharing_cores
from pipeline.modality.shown.inputs import item_input
from pipeline.modality.table import read_modality, write_modality
from pipeline.track.connection import configure
from pipeline.version.fetch import ModelFolder
from pipeline.version.process import frames

log = logging.getLogger(__name__)

Row = dict[str, Any]

_SCRIPT = Path(__file__).with_name("resident_main.py")
_KEPT_LINES = 20
"""Of what it wrote to stderr: the cause of a death is among the last."""

_PATIENCE_S = 5.0
"""For a process to end that was told to."""


class ResidentDied(Exception):
    """The process of a version ended; its text says which, and by what."""


@dataclass(frozen=True)
class ResidentOptions:
    """How a version is run.

    Attributes:
        decoders: Processes that read items, at least 1.
        device: `cpu`, `cuda` or `mps`; None: the kind it was trained on, where there is one.
        most: That an item may measure, in the unit of its modality; None: what that reads at most.
        seconds: For reading one item; None: what its modality says.
    """

    decoders: int
    device: str | None = None
    most: int | None = None
    seconds: float | None = None


class Resident:
    """A process that holds one version; threads may share it, and wait for each other.

    Args:
        folder: The version.
        options: How it is run.

    Raises:
        PipelineError: The version's own: a file is missing or damaged.
        ResidentDied: It could not start.
    """

    def __init__(self, folder: ModelFolder, options: ResidentOptions) -> None:
        bundle = read_json(folder.bundle)
        modality = read_modality(bundle)
        item = item_input(modality)
        most, seconds = options.most or item.most, options.seconds or item.seconds
        self.folder = folder
        self.limits = item.limits(most, seconds)
        """Of one item."""

        self._lock = threading.Lock()
        self._is_closed = False
        self._told: deque[str] = deque(maxlen=_KEPT_LINES)
        configure()
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-B", str(_SCRIPT), str(theirs.fileno())],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                pass_fds=[theirs.fileno()],
                env=os.environ | sharing_cores() | QUIET,
                process_group=0,  # a terminal's Ctrl-C is for us alone: we finish what we asked
            )
        self._socket = ours
        self._stream = cast(BinaryIO, ours.makefile("rwb"))
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()
        request = {
            "op": "load",
            **{
                name: str(getattr(folder, name).resolve())
                for name in ("folder", "code", "model", "bundle")
            },
            **vars(options),
            "most": most,
            "seconds": seconds,
        }
        try:
            with self._watched():
                frames.send(self._stream, request)
                told: dict[str, Any] = self._receive()["description"]
            self._description = told | item.row_facts(bundle["decode"]) | write_modality(modality)
        except BaseException:
            self.close()
            raise

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process.poll() is None

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    def describe(self) -> dict[str, Any]:
        """Return what the version answers, and what decides the bits: `Engine.describe`."""
        return dict(self._description)

    def predict(self, files: Sequence[bytes], *, pad: bool = True) -> list[Row]:
        """Return a row for each item, in their order: `Engine.predict`.

        Raises:
            ResidentDied: The process ended.
        """
        return list(self.stream(files, pad=pad))

    def stream(self, files: Iterable[bytes], *, pad: bool = True) -> Generator[Row, None, None]:
        """Yield rows of any number of items as they come; some batches are under way.

        Nobody else is answered before the last row, or before it is closed.

        Args:
            files: Taken by another thread, and as far ahead as the pipe holds.
            pad: As `Engine.predict`.

        Raises:
            ResidentDied: The process ended.
            Exception: What `files` raised.
        """
        with self._lock:
            sender = _Sender(self._stream, files)
            with self._watched():
                frames.send(self._stream, {"op": "predict", "pad": pad})
                sender.start()
                yield from self._rows(sender)
            if sender.error is not None:
                raise sender.error

    def _rows(self, sender: "_Sender") -> Generator[Row, None, None]:
        is_done = False
        try:
            while not is_done:
                message = self._receive()
                is_done = "done" in message
                yield from message.get("rows", ())
        except GeneratorExit:
            sender.is_left.set()
            while not is_done:  # the rest of the answers, so that none is taken for the next one's
                is_done = "done" in self._receive()
            raise
        finally:
            if not is_done:
                self._shut()  # else the sender would wait for ever
            sender.join()

    def explain(self, file: bytes) -> dict[str, Any]:
        """Return what the version's `Engine.explain` gives, plain values.

        Raises:
            ParamsError: The version has no explanations.
            DataError: The file is not a usable item.
            ResidentDied: The process ended.
        """
        with self._lock, self._watched():
            frames.send(self._stream, {"op": "explain"}, [file])
            answer: dict[str, Any] = self._receive()["answer"]
        return answer

    def close(self) -> None:
        """End the process; whoever waits for an answer gets `ResidentDied`."""
        self._is_closed = True
        self._end()
        if self._lock.acquire(timeout=_PATIENCE_S):  # not while somebody still reads
            with suppress(OSError):  # what could not be sent
                self._stream.close()
            self._socket.close()
            self._lock.release()

    def _end(self) -> None:
        assert self._process.stdin is not None
        with suppress(OSError):
            self._process.stdin.close()
        self._shut()
        try:
            self._process.wait(_PATIENCE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._listener.join()

    def _shut(self) -> None:
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def _receive(self) -> dict[str, Any]:
        message, _ = frames.receive(self._stream)
        if "error" in message:
            raise again(message["error"], message["exit_code"])
        return message

    @contextmanager
    def _watched(self) -> Iterator[None]:
        """Translate errors of the connection: why the other end is gone."""
        try:
            if self._is_closed:
                raise EOFError("it was closed")
            yield
        except (EOFError, OSError) as error:
            self._end()
            cause = "it was closed" if self._is_closed else self._cause()
            raise ResidentDied(f"{self.folder.uri}: its process ended: {cause}") from error

    def _cause(self) -> str:
        code = self._process.returncode
        how = f"by {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
        return f"{how}: {self._told[-1]}" if self._told else how

    def _listen(self) -> None:
        """Keep the last lines that the process writes to stderr."""
        assert self._process.stderr is not None
        with self._process.stderr as told:
            for line in told:
                self._told.append(text := line.decode("utf-8", "replace").rstrip())
                log.debug("%s: %s", self.folder.uri, text)


class _Sender(threading.Thread):
    """Sends items: a thread of its own, for the answers are read at the same time.

    Args:
        stream: To the process.
        files: The items.
    """

    def __init__(self, stream: BinaryIO, files: Iterable[bytes]) -> None:
        super().__init__(daemon=True)
        self.is_left = threading.Event()
        self.error: BaseException | None = None
        """What `files` raised."""

        self._stream = stream
        self._files = files

    def run(self) -> None:
        """Send all, or what there is until somebody leaves or the items fail; and an end."""
        with suppress(OSError, ValueError):  # the process is gone; who reads the answers tells it
            for file in self._taken():
                frames.send(self._stream, {}, [file])
            frames.send(self._stream, {"end": True})

    def _taken(self) -> Iterator[bytes]:
        try:
            for file in self._files:
                if self.is_left.is_set():
                    return
                yield file
        except BaseException as error:  # noqa: BLE001 - it is raised again where the rows are read
            self.error = error
