"""Items that another thread makes ahead of their use, a few at a time: memory stays flat."""

import queue
import threading
from collections.abc import Generator
from concurrent.futures import Executor
from contextlib import closing, suppress
from typing import TypeVar

T = TypeVar("T")

_PAUSE_S = 0.1
"""Between two looks at whether anybody still waits."""

_END = object()


def ahead(items: Generator[T, None, None], most: int, thread: Executor) -> Generator[T, None, None]:
    """Yield items in their order. A caller that leaves early closes this, and so the items.

    Args:
        items: Taken, and closed, by the other thread.
        most: Items that wait at once, at least 1.
        thread: Runs it; busy until the last item is made.

    Raises:
        Exception: What `items` raised, once all items before it are given.
    """
    made: queue.Queue[T | object] = queue.Queue(most)
    is_left = threading.Event()
    done = thread.submit(_fill, made, items, is_left)
    try:
        while (item := made.get()) is not _END:
            yield item  # type: ignore[misc]  # what is not the end is an item
    finally:
        is_left.set()
        error = done.exception()
    if error is not None:
        raise error


def _fill(
    made: "queue.Queue[T | object]", items: Generator[T, None, None], is_left: threading.Event
) -> None:
    """Fill the queue, and end it whatever happens."""
    try:
        with closing(items):
            for item in items:
                if not _put(made, item, is_left):
                    return
    finally:
        _put(made, _END, is_left)


def _put(made: "queue.Queue[T | object]", item: T | object, is_left: threading.Event) -> bool:
    """Wait for room in the queue; return False if nobody listens any more."""
    while not is_left.is_set():
        with suppress(queue.Full):
            made.put(item, timeout=_PAUSE_S)
            return True
    return False
