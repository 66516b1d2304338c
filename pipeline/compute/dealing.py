"""Which items go to which machine, and what becomes of those that are lost, late or hung.

The rules stand here without a cluster: time and answers are given. An item's result is the same
wherever it is computed, so a chunk may be sent twice, and the first answer counts.
"""

import statistics
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pipeline.compute.pool import Lost

_CHUNKS_A_PROCESS = 8
"""At least so many for each, so that all end at about the same time."""

_AHEAD, _AHEAD_ITEMS = 2, 64
"""Windows, or items if they are more, that may be ahead of the first result that is missing."""

_LOSSES = 3
"""Times that a chunk is lost before its items go singly, and an item before it is given up."""

_LATE_S, _LATE_FACTOR = 60.0, 10.0
"""A chunk is late after this time, and after so many times the median of those answered."""

_REMEMBERED = 101
"""Times of answers that the median is of."""


@dataclass(frozen=True)
class Grain:
    """How large items are, and so how they are sent.

    Attributes:
        most: Items sent at once; fewer where there are few for each process.
        window: Chunks that are sent to a process and not answered: with more than one it never
            waits for the next.
        may_twin: Whether a late chunk may be worked on by two machines at a time.
    """

    most: int = 64
    window: int = 3
    may_twin: bool = True


SMALL = Grain()
"""Many in a second."""

LARGE = Grain(most=1)
"""A second or more each."""

FIT = Grain(most=1, window=1, may_twin=False)
"""Minutes or more, with checkpoints on the way."""


@dataclass
class Attempt:
    """Items that were sent to a machine."""

    numbers: tuple[int, ...]
    node: str
    sent: float
    is_late: bool = False


@dataclass
class _Chunk:
    numbers: tuple[int, ...]
    losses: int = 0
    avoided: set[str] = field(default_factory=set)
    """Machines that lost it, are late with it, or found it hung."""


class Dealing:
    """One map.

    Args:
        count: Of items.
        grain: Of items.
    """

    def __init__(self, count: int, grain: Grain) -> None:
        self.results: dict[int, Any] = {}
        """Answers that are not taken yet, by number."""
        self._told: list[tuple[str, ...]] = []
        self._count = count
        self._grain = grain
        self._slots: dict[str, int] = {}
        self._next = 0
        self._taken = 0
        self._again: deque[_Chunk] = deque()
        self._flying: dict[int, tuple[Attempt, _Chunk]] = {}
        self._busy: Counter[str] = Counter()
        self._judged: set[int] = set()
        self._times: deque[float] = deque(maxlen=_REMEMBERED)

    @property
    def nodes(self) -> Mapping[str, int]:
        """Return the machines that take part, and how many chunks each works on at once."""
        return self._slots

    def join(self, node: str, slots: int) -> None:
        """Let a machine take part."""
        self._slots[node] = slots

    def leave(self, node: str, why: str) -> None:
        """Give what a machine was sent to others."""
        self._slots.pop(node, None)
        for attempt, _ in list(self._flying.values()):
            if attempt.node == node:
                self.lose(attempt, why)

    def take(self) -> Iterator[Any]:
        """Yield results that are next in the order of the items."""
        while self._taken in self.results:
            self._taken += 1
            yield self.results.pop(self._taken - 1)

    def tell(self, names: Mapping[str, str]) -> Iterator[str]:
        """Yield what happened since it was asked, with the names of machines."""
        while self._told:
            yield " ".join(names.get(each, each) for each in self._told.pop(0))

    @property
    def taken(self) -> int:
        """Return the number of results that were taken."""
        return self._taken

    @property
    def is_done(self) -> bool:
        """Return whether all results were taken."""
        return self._taken == self._count

    def deal(self, now: float) -> Iterator[Attempt]:
        """Yield what to send now."""
        while (chunk := self._first()) is not None:
            node = self._place(chunk)
            if node is None:
                self._again.appendleft(chunk)
                return
            attempt = Attempt(chunk.numbers, node, now)
            self._flying[id(attempt)] = attempt, chunk
            self._busy[node] += 1
            yield attempt

    def answer(self, attempt: Attempt, results: Sequence[Any], now: float) -> None:
        """Take the results of an attempt."""
        if self._land(attempt) is None:
            return
        self._times.append(now - attempt.sent)
        for number, result in zip(attempt.numbers, results, strict=True):
            if self._is_known(number):
                continue
            is_hung = isinstance(result, Lost) and result.reason == "hung"
            if is_hung and number not in self._judged and len(self._slots) > 1:
                self._judged.add(number)  # how far one gets in a time depends on the machine
                self._again.append(_Chunk((number,), avoided={attempt.node}))
            else:
                self.results[number] = result

    def lose(self, attempt: Attempt, why: str) -> None:
        """Take note that an attempt has no answer, and never will."""
        chunk = self._land(attempt)
        if chunk is None:
            return
        left = tuple(number for number in chunk.numbers if not self._is_known(number))
        if not left or self._flies(chunk):
            return
        chunk.numbers = left
        chunk.losses += 1
        chunk.avoided.add(attempt.node)
        if chunk.losses < _LOSSES:
            self._again.append(chunk)
        elif len(left) > 1:
            text = f"items {left[0] + 1} to {left[-1] + 1} were lost {_LOSSES} times ({why}); "
            self._told.append((text + "they are tried one by one",))
            self._again.extend(_Chunk((number,)) for number in left)
        else:
            self.results[left[0]] = Lost("crashed", f"{why}, {_LOSSES} times")

    def _land(self, attempt: Attempt) -> _Chunk | None:
        _, chunk = self._flying.pop(id(attempt), (None, None))
        if chunk is not None:
            self._busy[attempt.node] -= 1
        return chunk

    def _flies(self, chunk: _Chunk) -> bool:
        return any(each is chunk and not it.is_late for it, each in self._flying.values())

    def _is_known(self, number: int) -> bool:
        return number < self._taken or number in self.results

    def _first(self) -> _Chunk | None:
        while self._again:
            chunk = self._again.popleft()
            if not all(self._is_known(number) for number in chunk.numbers):
                return chunk
        processes = max(1, sum(self._slots.values()))
        size = max(1, min(self._grain.most, self._count // (processes * _CHUNKS_A_PROCESS)))
        ahead = max(_AHEAD_ITEMS, _AHEAD * self._grain.window * size * processes)
        end = min(self._next + size, self._count)
        if self._next >= end or self._next >= self._taken + ahead:
            return None
        chunk = _Chunk(tuple(range(self._next, end)))
        self._next = end
        return chunk

    def _place(self, chunk: _Chunk) -> str | None:
        """Return the machine with the most room, of those that did not fail if there are any."""
        can = set(self._slots) - chunk.avoided or set(self._slots)
        free = {node: self._grain.window - self._busy[node] / self._slots[node] for node in can}
        free = {node: room for node, room in free.items() if room > 0}
        return max(sorted(free), key=free.__getitem__, default=None)

    def find_late(self, now: float) -> None:
        """Send what is late to another machine too; with a single one, wait."""
        if not self._grain.may_twin:
            return
        usual = statistics.median(self._times) if self._times else 0.0
        limit = max(_LATE_S, _LATE_FACTOR * usual)
        for attempt, chunk in self._flying.values():
            if attempt.is_late or now - attempt.sent <= limit:
                continue
            attempt.is_late = True
            chunk.avoided.add(attempt.node)
            if set(self._slots) - chunk.avoided:
                text = f"is late with {len(chunk.numbers)} items; they go to another one too"
                self._told.append(("machine", attempt.node, text))
                self._again.appendleft(chunk)
