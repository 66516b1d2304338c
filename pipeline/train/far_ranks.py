"""Ranks on the machines of a cluster; this process itself does not train.

They meet at a port of the machine of the first one. What that one logs comes with its events, since
its terminal is not ours.
"""

import logging
import os
import socket
import traceback
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import psutil
import torch

from pipeline.compute.gang import Gang, Gone, Seat, opened
from pipeline.compute.node import Share
from pipeline.ground.errors import MachineError, PipelineError
from pipeline.train.members import Kind, Member, listen
from pipeline.train.ranks import Work, joined

T = TypeVar("T")
_Line: TypeAlias = tuple[str, int, str]
"""Logger, level and text."""


def run_far_ranks(work: Work[T], count: int, *, device: str) -> Generator[T, None, None]:
    """Run the same work as so many ranks of the cluster, and yield what the first one yields.

    When one fails or is lost, or this process ends, all of them end.

    Args:
        work: Picklable, as is what it yields.
        count: Of ranks.
        device: Type of the device of each: `cpu`, or `cuda` for a GPU each.

    Raises:
        MachineError: There is no cluster, it has no room for them, or a rank is lost.
        Exception: What a rank raised.
    """
    share = Share(gpus=1 if device == "cuda" else 0)
    with opened(Rank, count, share) as gang:
        members = [_Far(gang, seat) for seat in gang.seats]
        place = members[0].ask("place")
        for number, each in enumerate(members):
            each.begin("begin", str(Path.cwd()), work, number, count, device, place)
        yield from listen(members, _wait)


class _Far(Member):
    """A rank that has a seat in the cluster."""

    def __init__(self, gang: Gang, seat: Seat) -> None:
        super().__init__()
        self.gang = gang
        self._seat = seat
        self._cause = ""

    def begin(self, method: str, *arguments: Any) -> None:
        """Have it do something; `hear` waits for the answer."""
        self.awaited = self.gang.call(self._seat, method, *arguments)

    def ask(self, method: str) -> Any:
        """Return the answer to a question.

        Raises:
            MachineError: It is gone.
        """
        try:
            return self.gang.answer(self.gang.call(self._seat, method))
        except Gone as error:
            raise MachineError("train", str(error), remedy="look at that machine") from error

    def hear(self) -> tuple[Kind, Any]:
        try:
            kind, value, lines = self.gang.answer(self.awaited)
        except Gone as error:
            self._cause = str(error)
            raise
        for name, level, text in lines:
            logging.getLogger(name).log(level, "%s", text)
        return kind, value

    def go_on(self) -> None:
        self.begin("next")

    def cause(self) -> str:
        return self._cause


def _wait(members: Sequence[_Far], seconds: float | None) -> list[_Far]:
    ready = members[0].gang.wait([each.awaited for each in members], seconds)
    return [each for each in members if each.awaited in ready]


class Rank:
    """One rank, in a process that the cluster keeps for it.

    Args:
        host: The address of its machine in the cluster.
    """

    def __init__(self, host: str) -> None:
        self._host = host
        self._lines: list[_Line] = []
        self._events: Iterator[Any] = iter(())

    def place(self) -> str:
        """Return where the ranks can meet: a port of this machine that is free now."""
        with socket.socket() as found:
            found.bind((self._host, 0))
            return f"tcp://{self._host}:{found.getsockname()[1]}"

    def begin(
        self, home: str, work: Work[Any], number: int, count: int, device: str, place: str
    ) -> tuple[Kind, Any, list[_Line]]:
        """Start to work in a folder, and return as `next` does.

        Only the first rank stops at events.
        """
        if number == 0:
            logger = logging.getLogger("pipeline")
            logger.setLevel(logging.INFO)
            logger.addHandler(_Keeper(self._lines))
        os.environ["GLOO_SOCKET_IFNAME"] = _interface(self._host)
        if device == "cuda":
            torch.cuda.set_device(0)  # the cluster shows each process its own alone
        self._events = _work(home, work, number, count, device=device, place=place)
        return self.next()

    def next(self) -> tuple[Kind, Any, list[_Line]]:
        """Return what happens next, and what was logged until then."""
        try:
            kind, value = Kind.TOLD, next(self._events)
        except StopIteration:
            kind, value = Kind.ENDED, None
        except BaseException as error:  # noqa: BLE001 - it is raised again where ranks are started
            if not isinstance(error, PipelineError):
                error.add_note(traceback.format_exc())
            kind, value = Kind.FAILED, error
        lines, self._lines[:] = list(self._lines), []
        return kind, value, lines


def _work(
    home: str, work: Work[T], number: int, count: int, *, device: str, place: str
) -> Iterator[T]:
    try:
        os.chdir(home)
    except OSError as error:
        raise MachineError(
            home,
            f"machine {socket.gethostname()} does not share the folder: {error.strerror}",
            remedy="see docs/cluster.md",
        ) from error
    with joined(number, count, device=device, place=place) as ranks:
        for event in work(ranks):
            if ranks.is_first:
                yield event


def _interface(host: str) -> str:
    """Return the name of the network interface that has an address."""
    for name, addresses in psutil.net_if_addrs().items():
        if any(each.address == host for each in addresses):
            return str(name)
    return "lo"  # of 127.0.0.2 and so on, which are never listed


class _Keeper(logging.Handler):
    """Keeps what is logged."""

    def __init__(self, lines: list[_Line]) -> None:
        super().__init__(logging.INFO)
        self._lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        self._lines.append((record.name, record.levelno, record.getMessage()))
