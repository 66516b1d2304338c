"""Ranks as processes of this machine, children of this one, which itself does not train."""

import logging
import multiprocessing
import os
import signal
import sys
import tempfile
import traceback
from collections.abc import Generator, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import torch

from pipeline.compute.pool import cause, unseen_main
from pipeline.ground.errors import PipelineError
from pipeline.ground.processes import die_with_parent
from pipeline.ground.stage import start_logging
from pipeline.train.members import Kind, Member, listen
from pipeline.train.ranks import Work, joined

T = TypeVar("T")
_Connection: TypeAlias = "Connection[Any, Any]"

_END_S = 5.0
"""For a process whose connection has ended to end too."""


class _Child(Member):
    """A rank in a process of its own."""

    def __init__(self, process: BaseProcess, connection: _Connection) -> None:
        super().__init__()
        self.process = process
        self.connection = connection

    def hear(self) -> tuple[Kind, Any]:
        heard: tuple[Kind, Any] = self.connection.recv()
        return heard

    def go_on(self) -> None:
        with suppress(OSError):  # it is dead; that is heard next
            self.connection.send(None)

    def cause(self) -> str:
        self.process.join(_END_S)
        return cause(self.process.exitcode)


def run_ranks(work: Work[T], count: int, *, device: str) -> Generator[T, None, None]:
    """Run the same work as so many ranks on this machine, and yield what the first one yields.

    When one fails or dies, or this process is interrupted, all of them end.

    Args:
        work: Picklable, as is what it yields.
        count: Of ranks.
        device: Type of the device of each: `cpu`, or `cuda` for a GPU each.

    Raises:
        MachineError: A rank died, or does not answer; it is named.
        Exception: What a rank raised.
    """
    context = multiprocessing.get_context("spawn")
    children: list[_Child] = []
    with tempfile.TemporaryDirectory(prefix="rootstock-ranks-") as folder:
        place = (Path(folder) / "place").as_uri()
        try:
            for number in range(count):
                ours, theirs = multiprocessing.Pipe()
                process = context.Process(
                    target=_serve, args=(work, number, count, device, place, theirs), daemon=True
                )
                with unseen_main(work):
                    process.start()
                theirs.close()  # else the end of the child would not end the connection
                children.append(_Child(process, ours))
            yield from listen(children, _wait)
        finally:
            for each in children:
                each.process.kill()
            for each in children:
                each.process.join()
                each.connection.close()


def _wait(children: Sequence[_Child], seconds: float | None) -> list[_Child]:
    ready = wait([each.connection for each in children], seconds)
    return [each for each in children if each.connection in ready]


def _serve(
    work: Work[Any], number: int, count: int, device: str, place: str, connection: _Connection
) -> None:
    """Do the work as one rank; the whole life of a child."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends all
    die_with_parent(os.getppid())
    start_logging(sys.stderr)
    if number > 0:
        logging.getLogger("pipeline").setLevel(logging.ERROR)
    os.environ["GLOO_SOCKET_IFNAME"] = "lo" if sys.platform.startswith("linux") else "lo0"
    if device == "cuda":
        torch.cuda.set_device(number)
    try:
        with joined(number, count, device=device, place=place) as ranks:
            for event in work(ranks):
                if ranks.is_first:
                    connection.send((Kind.TOLD, event))
                    connection.recv()  # the parent has noted it
        connection.send((Kind.ENDED, None))
    except BaseException as error:  # noqa: BLE001 - it is raised again in the parent
        if not isinstance(error, PipelineError):
            error.add_note(traceback.format_exc())
        connection.send((Kind.FAILED, error))
