"""Listen to ranks that work elsewhere, and say which one to blame when one is lost.

A rank tells what happens, one event after the other, and goes on when it is told to.
"""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Sequence
from enum import Enum
from typing import Any, TypeVar

from pipeline.ground.errors import MachineError
from pipeline.train.ranks import GO_ON, PATIENCE_S, LostError

_GRACE_S = 5.0
"""For the other ranks to tell what they know, once one of them is lost."""


class Kind(Enum):
    """What a rank says."""

    TOLD = "told"
    """An event."""
    ENDED = "ended"
    """It did all that it had to."""
    FAILED = "failed"
    """An error."""


class Member(ABC):
    """A rank that works in another process."""

    def __init__(self) -> None:
        self.error: BaseException | None = None
        """That it told."""
        self.has_ended = False
        """It did all that it had to."""
        self.is_gone = False
        """It died without a word."""

    @abstractmethod
    def hear(self) -> tuple[Kind, Any]:
        """Return what it has said.

        Raises:
            OSError: It is gone; EOFError likewise.
        """

    @abstractmethod
    def go_on(self) -> None:
        """Let it go on after an event; it may be gone."""

    @abstractmethod
    def cause(self) -> str:
        """Return how it ended, if it is gone."""


M = TypeVar("M", bound=Member)


def listen(
    members: Sequence[M], wait: Callable[[Sequence[M], float | None], Collection[M]]
) -> Iterator[Any]:
    """Yield what ranks tell, until all have ended.

    Args:
        members: In the order of their numbers.
        wait: Returns who has said something, within so many seconds, or at any time.

    Raises:
        Exception: What is to be said of them if one is lost.
    """
    silent = list(members)
    deadline: float | None = None
    while silent:
        rest = None if deadline is None else max(0.0, deadline - time.monotonic())
        heard = wait(silent, rest)
        if not heard:
            break
        for each in heard:
            try:
                kind, value = each.hear()
            except (EOFError, OSError):
                kind, value, each.is_gone = Kind.FAILED, None, True
            if kind is Kind.TOLD:
                yield value
                each.go_on()
                continue
            silent.remove(each)
            each.error, each.has_ended = value, kind is Kind.ENDED
            if kind is Kind.FAILED and deadline is None:
                deadline = time.monotonic() + _GRACE_S
    if deadline is not None:
        raise _verdict(members)


def _verdict(members: Sequence[Member]) -> BaseException:
    """Return the error that explains the others: what was told, else who died, else who hangs."""
    told = [each.error for each in members if each.error is not None]
    for error in told:
        if not isinstance(error, LostError):
            return error
    for number, each in enumerate(members):
        if each.is_gone:
            return MachineError(
                "train",
                f"rank {number} of {len(members)}: {each.cause()}, so all ranks were ended",
                remedy=f"{GO_ON}; if memory was short, lower machine.ranks",
            )
    for number, each in enumerate(members):
        if each.error is None and not each.has_ended:
            return MachineError(
                "train",
                f"rank {number} of {len(members)} did not answer within {PATIENCE_S:g} s, "
                "so all ranks were ended",
                remedy=GO_ON,
            )
    return told[0]
