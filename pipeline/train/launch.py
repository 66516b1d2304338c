"""Start the processes that train together, or be one of them; end all of them when one is lost.

With `machine.ranks` above 1 they are children of this process, which itself does not train: it can
tell at any time which one ended, and how. Under torchrun this process is one of them already.
"""

import logging
import multiprocessing
import os
import signal
import sys
import tempfile
import time
import traceback
from collections import deque
from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, TypeAlias, TypeVar, cast

import torch

from pipeline.compute.device import check_ranks_here, choose_device
from pipeline.compute.pool import cause, unseen_main
from pipeline.ground.errors import MachineError, PipelineError
from pipeline.ground.processes import Launched, die_with_parent, launched
from pipeline.ground.stage import start_logging
from pipeline.train.job import Job, Told, train_rank
from pipeline.train.ranks import ALONE, GO_ON, PATIENCE_S, LostError, Ranks, joined
from pipeline.train.recipe_rules import check_ranks

T = TypeVar("T")
Work: TypeAlias = Callable[[Ranks], Iterator[T]]
_Connection: TypeAlias = "Connection[Any, Any]"

_GRACE_S = 5.0
"""For the other ranks to tell what they know, once one of them is lost."""

_TOLD, _ENDED, _FAILED = "told", "ended", "failed"


def launch(job: Job) -> Generator[Told, None, None]:
    """Train with as many processes as are asked for, and tell what the first one tells.

    Under torchrun, every process calls this, and all but the first one tell nothing.

    Raises:
        ParamsError: The number of ranks does not divide that of parts, or there are fewer GPUs.
        MachineError: A rank was lost.
        PipelineError: As for `train_rank`.
    """
    place = launched()
    count = place.ranks if place else job.machine.ranks
    check_ranks(count, job.recipe.train.parts)
    device = choose_device(job.runtime.device)
    check_ranks_here(device, place.ranks_here if place else count)
    if place:
        return _join(job, place, device.type)
    if count == 1:
        return train_rank(job, ALONE)
    return run_ranks(partial(train_rank, job), count, device=device.type)


def _join(job: Job, place: Launched, device: str) -> Generator[Told, None, None]:
    """Train as the rank that torchrun says."""
    if device == "cuda":
        torch.cuda.set_device(place.rank_here)
    with joined(place.rank, place.ranks, device=device, place=None) as ranks:
        events = train_rank(job, ranks)
        if ranks.is_first:
            yield from events
        else:
            logging.getLogger("pipeline").setLevel(logging.WARNING)
            deque(events, maxlen=0)


@dataclass
class _Child:
    """A rank in a process of its own."""

    process: BaseProcess
    connection: _Connection
    has_ended: bool = False
    """It did all that it had to."""
    error: BaseException | None = None
    """That it told."""
    is_gone: bool = False
    """It died without a word."""


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
        place = Path(folder) / "place"
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
            yield from _listen(children)
        finally:
            for each in children:
                each.process.kill()
            for each in children:
                each.process.join()
                each.connection.close()


def _listen(children: list[_Child]) -> Iterator[Any]:
    """Yield what children tell, until all have ended.

    Raises:
        Exception: What is to be said of them if one is lost.
    """
    silent = {child.connection: child for child in children}
    deadline: float | None = None
    while silent:
        rest = None if deadline is None else max(0.0, deadline - time.monotonic())
        heard = wait(list(silent), rest)
        if not heard:
            break
        for each in heard:
            child = silent[cast(_Connection, each)]
            try:
                kind, value = child.connection.recv()
            except (EOFError, OSError):
                kind, value, child.is_gone = _FAILED, None, True
            if kind == _TOLD:
                yield value
                with suppress(OSError):  # it is dead; that is heard next
                    child.connection.send(None)
                continue
            del silent[child.connection]
            child.error, child.has_ended = value, kind == _ENDED
            if kind == _FAILED and deadline is None:
                deadline = time.monotonic() + _GRACE_S
    if deadline is not None:
        raise _verdict(children)


def _verdict(children: list[_Child]) -> BaseException:
    """Return the error that explains the others: what was told, else who died, else who hangs."""
    told = [child.error for child in children if child.error is not None]
    for error in told:
        if not isinstance(error, LostError):
            return error
    for number, child in enumerate(children):
        if child.is_gone:
            child.process.join(_GRACE_S)
            ending = cause(child.process.exitcode)
            return MachineError(
                "train",
                f"rank {number} of {len(children)}: {ending}, so all ranks were ended",
                remedy=f"{GO_ON}; if memory was short, lower machine.ranks",
            )
    for number, child in enumerate(children):
        if child.error is None and not child.has_ended:
            return MachineError(
                "train",
                f"rank {number} of {len(children)} did not answer within {PATIENCE_S:g} s, "
                "so all ranks were ended",
                remedy=GO_ON,
            )
    return told[0]


def _serve(
    work: Work[Any], number: int, count: int, device: str, place: Path, connection: _Connection
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
                    connection.send((_TOLD, event))
                    connection.recv()  # the parent has noted it
        connection.send((_ENDED, None))
    except BaseException as error:  # noqa: BLE001 - it is raised again in the parent
        if not isinstance(error, PipelineError):
            error.add_note(traceback.format_exc())
        connection.send((_FAILED, error))
