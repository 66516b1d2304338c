"""What one machine of a cluster does: say who it is, and work on chunks of items.

This runs in processes that the cluster keeps, one for each share of a machine. It knows nothing of
what sends the work.
"""

import os
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Generic, TypeVar

from pipeline.compute.dealing import SMALL, Grain
from pipeline.compute.identity import Identity, answer_in, identify
from pipeline.compute.pool import Lost, Pool
from pipeline.ground.limits import ItemLimits

A = TypeVar("A")
R = TypeVar("R")


@dataclass(frozen=True)
class Share:
    """What a process that works on items takes of its machine."""

    cpus: int = 1
    gpus: int = 0


@dataclass(frozen=True)
class Order(Generic[A, R]):
    """What all chunks of one map have in common; it is sent with each.

    Attributes:
        name: Of this map, and of no other.
        home: The folder that relative paths start from; every machine must see it.
        function: Picklable, as are its results.
        limits: Of each item; with them an item is worked on in a process of its own.
        canary: Returns a digest of what an item gives; it writes nothing.
        share: What one process takes.
        grain: How large an item is.
    """

    name: str
    home: str
    function: Callable[[A], R]
    limits: ItemLimits | None
    canary: Callable[[A], str] | None
    share: Share
    grain: Grain


@dataclass(frozen=True)
class Checked(Generic[A, R]):
    """A function, and what tells whether two machines compute the same by it.

    Attributes:
        function: As `Order.function`.
        canary: As `Order.canary`.
        share: As `Order.share`.
        grain: As `Order.grain`.
    """

    function: Callable[[A], R]
    canary: Callable[[A], str] | None = None
    share: Share = Share()
    grain: Grain = SMALL


@dataclass(frozen=True)
class Raised:
    """What the function raised, and where."""

    error: Exception
    trace: str


def run_chunk(order: Order[A, R], items: Sequence[A]) -> list[R | Lost] | Raised:
    """Work on some items, in their order."""
    try:
        os.chdir(order.home)
        return _work(order, order.function, items)
    except Exception as error:  # noqa: BLE001 - it is raised again where the results are read
        return Raised(error, traceback.format_exc())


def greet(order: Order[A, R], folder: Path, name: str, first: Sequence[A]) -> Identity | str:
    """Show that this machine sees the shared folder, and say what it would compute with.

    Args:
        order: What it would work on.
        folder: Holds the token.
        name: Of this machine, for the answer.
        first: The first item, or nothing.

    Returns:
        What must be equal everywhere; or why this machine cannot take part.
    """
    fault = answer_in(order.home, folder, name)
    if fault is not None:
        return fault
    try:
        identity = identify()
        if order.canary is None or not first:
            return identity
        (found,) = _work(order, order.canary, first)
    except Exception as error:  # noqa: BLE001 - the other end names the machine, and leaves it out
        return f"cannot work: {type(error).__name__}: {error}"
    return replace(identity, canary=found.reason if isinstance(found, Lost) else found)


_pools: dict[tuple[str, Any], Pool[Any, Any]] = {}
"""The pool of the map that this process works on: to start one takes as long as many items."""


def _work(order: Order[A, R], function: Callable[[A], Any], items: Sequence[A]) -> list[Any]:
    if order.limits is None:
        return [function(item) for item in items]
    key = (order.name, function is order.function)
    if key not in _pools:
        while _pools:
            _pools.popitem()[1].close()
        _pools[key] = Pool(function, 1, order.limits, chunk=max(1, len(items)))
    return list(_pools[key].results(items))
