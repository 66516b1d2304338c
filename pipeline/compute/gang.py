"""Processes on the machines of a cluster that are needed all at once, by Ray: a gang.

Each holds an object, its seat, whose methods are called from here, one after the other.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from pipeline.compute.cluster import cause, connect
from pipeline.compute.node import Share
from pipeline.ground.errors import MachineError

Seat = Any
"""Of Ray's actors."""

_ROOM_S = 60.0
"""For the cluster to give the gang its place."""


class Gone(OSError):
    """A seat, or its machine, is lost."""


class Gang:
    """The seats, and how to talk to them.

    Args:
        ray: The package, connected.
        seats: In their order.
    """

    def __init__(self, ray: Any, seats: Sequence[Seat]) -> None:
        self._ray = ray
        self.seats = seats

    def call(self, seat: Seat, method: str, *arguments: Any) -> Any:
        """Start a method, and return what `answer` and `wait` take."""
        return getattr(seat, method).remote(*arguments)

    def answer(self, call: Any) -> Any:
        """Wait for a method, and return its result.

        Raises:
            Gone: The seat is lost.
        """
        try:
            return self._ray.get(call)
        except self._ray.exceptions.RayTaskError as error:  # methods answer with errors
            raise RuntimeError(f"cannot cross machines: {cause(error.cause)}") from error
        except self._ray.exceptions.RayError as error:
            raise Gone(f"its process or machine is lost ({cause(error)[:200]})") from error

    def wait(self, calls: Sequence[Any], seconds: float | None) -> list[Any]:
        """Return which calls have an answer, at least one of them, or none after some seconds."""
        ready, _ = self._ray.wait(list(calls), timeout=seconds)
        return list(ready)


@contextmanager
def opened(seat: type, count: int, share: Share) -> Iterator[Gang]:
    """Give so many seats for as long as the block lasts; their processes end with it.

    Args:
        seat: Its argument is the address of the machine that it is on.
        count: Of seats; several may be on one machine.
        share: What each takes of its machine.

    Raises:
        ParamsError: Ray is not installed, or `RAY_ADDRESS` names a way in that is not supported.
        MachineError: There is no cluster, or it has no room for the gang.
    """
    ray = connect(count)
    wanted = {"CPU": share.cpus, **({"GPU": share.gpus} if share.gpus else {})}
    group = ray.util.placement_group([wanted] * count, strategy="PACK")
    seats: list[Seat] = []
    try:
        if not group.wait(_ROOM_S):
            raise MachineError(
                "machine.ranks",
                f"the cluster has no room for {count} processes at once within {_ROOM_S:g} s",
                remedy="add machines, wait for other work to end, or lower it",
            )
        hosts = {each["NodeID"]: each["NodeManagerAddress"] for each in ray.nodes()}
        nodes = ray.util.placement_group_table(group)["bundles_to_node_id"]
        for number in range(count):
            place = ray.util.scheduling_strategies.PlacementGroupSchedulingStrategy(
                group, placement_group_bundle_index=number
            )
            made = ray.remote(seat).options(
                num_cpus=share.cpus, num_gpus=share.gpus, scheduling_strategy=place
            )
            seats.append(made.remote(hosts[nodes[number]]))
        yield Gang(ray, seats)
    finally:
        with suppress(Exception):  # the cluster may be gone
            for each in seats:
                ray.kill(each)
            ray.util.remove_placement_group(group)
