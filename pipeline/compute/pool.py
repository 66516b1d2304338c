"""Processes that work on many items, where an item that kills its process costs that item alone.

Every result is sent back at once. So if a worker dies, the item that killed it is the first one
without an answer. This item is tried once more, as the first one of a fresh worker. The others go
on.

On Linux, workers are forked from a server process that has imported what they need. Elsewhere, or
if asked for, they are fresh interpreters. They end when the process that started them ends, since
their pipe closes.
"""

import multiprocessing
import os
import resource
import signal
import sys
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from types import ModuleType
from typing import Any, Generic, Literal, TypeAlias, TypeVar, cast

from pipeline.ground.errors import MachineError
from pipeline.ground.limits import ItemLimits, data_bytes
from pipeline.ground.processes import die_with_parent

A = TypeVar("A")
R = TypeVar("R")
_Connection: TypeAlias = "Connection[Any, Any]"

_WINDOW = 3
"""Chunks in flight for each worker: it bounds the memory of results in flight."""

_PATIENCE_S = 10.0
"""For a process to end whose connection has ended."""

_READY, _RESULT, _ERROR, _NO_MEMORY = "ready", "result", "error", "no memory"


@dataclass(frozen=True)
class Lost:
    """The result of an item that killed its worker (twice, if there are limits)."""

    reason: Literal["crashed", "hung"]
    detail: str
    """The signal, the exit code or the limit."""


@dataclass
class _Worker:
    process: BaseProcess
    connection: _Connection
    waiting: deque[int] = field(default_factory=deque)
    """Numbers of the items that it was sent and has not answered, in its order of work."""
    is_ready: bool = False


class Pool(Generic[A, R]):
    """Workers for one function; they start with the first items and live until `close`.

    Only one thread may use it, and that thread must live longer than the pool: Linux ends a fresh
    worker together with the thread that started it.

    Args:
        function: Picklable, as are its results. If it has a method `announce`, this is called with
            the items of each chunk before the first of them: to fetch what they need together.
        workers: Number of processes, at least 1.
        limits: For each item. Without them the first death of a worker is final for its item, and
            a MemoryError is an error as any other.
        chunk: Items sent to a worker at once.
        are_large: Items may be larger than a pipe holds. Then a worker gets more only when it has
            answered all. Otherwise small items, of some kB, wait in its pipe.
        anew: Start every worker as a fresh interpreter with the import path of this process, and
            not from the server, whose import path is the one of its command line.
    """

    def __init__(
        self,
        function: Callable[[A], R],
        workers: int,
        limits: ItemLimits | None = None,
        *,
        chunk: int = 1,
        are_large: bool = False,
        anew: bool = False,
    ) -> None:
        self._function = function
        self._limits = limits
        self._size = workers
        self._chunk = chunk
        self._fill = 1 if are_large else chunk
        self._home = _home(function)
        self._context = multiprocessing.get_context("spawn") if anew else _context(self._home)
        self._workers: list[_Worker] = []
        self._next = 0
        self._items: dict[int, A] = {}
        self._again: deque[list[int]] = deque()
        self._tried: set[int] = set()
        self._done: dict[int, R | Lost] = {}

    def results(self, items: Iterable[A]) -> Iterator[R | Lost]:
        """Yield the results in the order of the items, or `Lost` for an item that has none.

        If the caller stops early, busy workers are ended. The next call starts others.

        Raises:
            MachineError: A worker died before it could begin.
            Exception: What the function raised.
        """
        source = iter(items)
        number = self._next
        try:
            while True:
                while number not in self._done:
                    self._feed(source, number)
                    if not any(worker.waiting for worker in self._workers):
                        return
                    self._hear()
                yield self._done.pop(number)
                number += 1
        finally:
            self._forget()

    def close(self) -> None:
        """End the workers."""
        self._end(self._workers)
        self._workers = []

    def _forget(self) -> None:
        """Clear the state of one call."""
        self._end([worker for worker in self._workers if worker.waiting])
        self._workers = [worker for worker in self._workers if not worker.waiting]
        for held in (self._items, self._again, self._tried, self._done):
            held.clear()

    @staticmethod
    def _end(workers: list[_Worker]) -> None:
        for worker in workers:
            worker.process.kill()
        for worker in workers:
            _leave(worker)

    def _feed(self, source: Iterator[A], number: int) -> None:
        """Send work to each worker that has too little, as far as the window reaches."""
        for worker in self._workers:
            if len(worker.waiting) < self._fill:
                self._send(worker, self._take(source, number))
        while len(self._workers) < self._size and (numbers := self._take(source, number)):
            self._start(numbers)

    def _take(self, source: Iterator[A], number: int) -> list[int]:
        if self._again:
            return self._again.popleft()
        room = number + _WINDOW * self._chunk * self._size - self._next
        start = self._next
        for item in islice(source, max(0, min(self._chunk, room))):
            self._items[self._next] = item
            self._next += 1
        return list(range(start, self._next))

    def _start(self, numbers: list[int]) -> None:
        ours, theirs = multiprocessing.Pipe()
        process = self._context.Process(
            target=_serve, args=(self._function, theirs, self._limits, __file__), daemon=True
        )
        with unseen_main(self._function):
            process.start()
        theirs.close()  # else the end of the worker would not end the connection
        worker = _Worker(process, ours)
        self._workers.append(worker)
        self._send(worker, numbers)

    def _send(self, worker: _Worker, numbers: list[int]) -> None:
        if not numbers:
            return
        worker.waiting.extend(numbers)
        with suppress(OSError):  # it is dead; what it answered before is still to be heard
            worker.connection.send([self._items[number] for number in numbers])

    def _hear(self) -> None:
        """Wait for at least one worker, and take one message of each that has one."""
        busy = {worker.connection: worker for worker in self._workers if worker.waiting}
        for each in wait(list(busy)):
            self._receive(busy[cast(_Connection, each)])

    def _receive(self, worker: _Worker) -> None:
        try:
            kind, value = worker.connection.recv()
        except (EOFError, OSError):
            self._lose(worker)
            return
        if kind == _READY:
            worker.is_ready = True
        elif kind == _RESULT:
            self._settle(worker.waiting.popleft(), value)
        elif kind == _NO_MEMORY and self._limits:
            text = f"needs more than {self._limits.memory} bytes of memory"
            self._settle(worker.waiting.popleft(), Lost("crashed", text))
        else:
            error, trace = value
            error.add_note(trace)
            raise error

    def _lose(self, worker: _Worker) -> None:
        """Remove a dead worker; its first unanswered item is the one that killed it."""
        self._workers.remove(worker)
        code = _leave(worker)
        if not worker.is_ready:
            raise MachineError(
                "machine.workers",
                f"a worker process could not start: {cause(code)}",
                remedy="see the log above; fewer workers need less memory",
            )
        number, *rest = worker.waiting
        if rest:
            self._again.append(rest)
        if self._limits and number not in self._tried:
            self._tried.add(number)
            self._start([number])
        elif self._limits and code == -signal.SIGALRM:
            self._settle(number, Lost("hung", f"no answer within {self._limits.seconds:g} s"))
        else:
            self._settle(number, Lost("crashed", cause(code)))

    def _settle(self, number: int, result: R | Lost) -> None:
        self._done[number] = result
        del self._items[number]


def _home(function: Callable[..., Any]) -> str:
    """Return the name of the module that defines a function."""
    inner = function.func if isinstance(function, partial) else function
    return str(getattr(inner, "__module__", None) or type(inner).__module__)


def _context(home: str) -> Any:
    """Return the way to start workers; the server imports the modules before the first fork."""
    if not sys.platform.startswith("linux"):
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(sorted({home, __name__} - {"__main__"}))
    return context


@contextmanager
def unseen_main(function: Callable[..., Any]) -> Iterator[None]:
    """Keep a worker that the block starts from running the main module, unless that has its work.

    A stage's main module imports tables and plots, which takes longer than much of the work.
    """
    main = sys.modules["__main__"]
    if _home(function) != "__main__":
        sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


def _leave(worker: _Worker) -> int | None:
    """Wait for a worker whose connection has ended, and return its exit code."""
    worker.connection.close()
    worker.process.join(_PATIENCE_S)
    if worker.process.exitcode is None:
        worker.process.kill()
        worker.process.join()
    code = worker.process.exitcode
    worker.process.close()
    return code


def cause(code: int | None) -> str:
    """Say why a process ended, by its exit code."""
    return f"ended by {signal.Signals(-code).name}" if code and code < 0 else f"exit code {code}"


def _serve(
    function: Callable[[A], R], connection: _Connection, limits: ItemLimits | None, home: str
) -> None:
    """Answer items until the other end closes; the whole life of a worker."""
    # Two copies of the package, and this is the other one: never for a version in its own process,
    # which is isolated. A command may be run in another clone than it is installed from.
    if sys.flags.isolated and __file__ != home:
        raise RuntimeError(f"a worker of {home} runs {__file__}")
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    die_with_parent(os.getppid())
    _confine(limits)
    try:
        connection.send((_READY, None))
        if limits:
            _silence()
        while True:
            items = connection.recv()
            with suppress(Exception):  # the item that needs what fails will tell of it
                getattr(function, "announce", bool)(items)
            for item in items:
                _reply(connection, _answer(function, item, limits.seconds if limits else 0.0))
    except (EOFError, OSError):
        return


def _confine(limits: ItemLimits | None) -> None:
    _, most = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, most))
    now = data_bytes()
    if limits is None or now is None:
        return
    # Data and not the address space: threads reserve much of that without using it, and the more
    # of it the more cores a machine has, so that the same picture would pass here and fail there.
    _, most = resource.getrlimit(resource.RLIMIT_DATA)
    wanted = now + limits.memory
    if most == resource.RLIM_INFINITY or wanted < most:
        resource.setrlimit(resource.RLIMIT_DATA, (wanted, most))


def _silence() -> None:
    """Drop what C libraries print about damaged files: it names no file, our results do."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)


def _answer(function: Callable[[A], R], item: A, seconds: float) -> tuple[str, Any]:
    # The alarm's default action is the end of the process, whatever code it hangs in.
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        return _RESULT, function(item)
    except MemoryError as error:
        return _NO_MEMORY, (error, traceback.format_exc())
    except Exception as error:  # noqa: BLE001 - it is raised again where the results are read
        return _ERROR, (error, traceback.format_exc())
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def _reply(connection: _Connection, answer: tuple[str, Any]) -> None:
    try:
        connection.send(answer)
    except OSError:
        raise
    except Exception as error:  # noqa: BLE001 - what cannot be pickled is told, and not sent
        kind = _NO_MEMORY if isinstance(error, MemoryError) else _ERROR
        trace = traceback.format_exc()
        connection.send((kind, (RuntimeError(f"cannot cross processes: {error}"), trace)))
