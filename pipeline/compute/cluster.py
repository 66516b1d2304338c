"""Work on several machines, by Ray: the only file that imports it.

Ray runs tasks and sees which machines are there. What is ours: which machines take part
(`identity.py`), the order of results, and what becomes of work that is lost or late (`dealing.py`).
On each machine a `Pool` contains an item that crashes (`node.py`).
"""

import contextlib
import logging
import os
import secrets
import signal
import socket
import time
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Literal, TypeVar

from pipeline.compute.dealing import Attempt, Dealing
from pipeline.compute.identity import Identity, SharedFolder, agreed, difference, identify
from pipeline.compute.node import Order, Raised, greet, run_chunk
from pipeline.compute.pool import Lost
from pipeline.ground.errors import Interrupted, MachineError, ParamsError

log = logging.getLogger(__name__)

A = TypeVar("A")
R = TypeVar("R")
Workers = Literal["auto"] | int

ADDRESS = "RAY_ADDRESS"
"""Names the cluster. Without it one is started here, and ends with this process."""

SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_task_oom_retries": "0",
    "RAY_health_check_initial_delay_ms": "3000",
    "RAY_health_check_period_ms": "3000",
    "RAY_health_check_timeout_ms": "3000",
    "RAY_health_check_failure_threshold": "3",
    "RAY_grpc_client_keepalive_time_ms": "3000",
    "RAY_grpc_client_keepalive_timeout_ms": "3000",
    "RAY_grpc_keepalive_time_ms": "3000",
    "RAY_grpc_keepalive_timeout_ms": "3000",
}
"""Environment of all processes of a cluster. Without the last eight, a frozen machine holds up the
others for minutes (github.com/ray-project/ray, issues 63405 and 44692)."""

_PINGS = "RAY_grpc_"
"""Settings that must be alike in a whole cluster: Ray ends the work of who pings too often."""

_HOME = Path(".rootstock") / "cluster"
_STORE_BYTES = 100 << 20
"""Ray's shared memory in a cluster that is started here; results are small."""

_CONNECT_S = 5.0

_GREET_S = 600.0
"""For a machine to import our code, and to give the canary."""

_FETCH_S = 30.0
"""For a result that is said to be there."""

_WAIT_S, _LOOK_S = 0.5, 2.0
"""For an answer; between two looks at which machines are there, and at what is late."""


def results(
    order: Order[A, R], items: Sequence[A], *, workers: Workers
) -> Generator[R | Lost, None, None]:
    """Yield the results in the order of the items, or `Lost` for an item that has none.

    Args:
        order: What is done with each.
        items: Small each: they are sent to the machines.
        workers: Processes on each machine; `auto` is one for each of its CPUs.

    Raises:
        ParamsError: Ray is not installed, or `RAY_ADDRESS` names a way in that is not supported.
        MachineError: There is no cluster, or no machine that can work; or all are gone.
        Exception: What the function raised.
    """
    connect(workers)
    shared = SharedFolder(_HOME / order.name)
    try:
        with shared.opened(), contextlib.closing(_Map(order, items, workers, shared)) as run:
            yield from run.results()
    except SystemError as error:  # so Ray passes on what a signal's handler raised
        if isinstance(error.__cause__, Interrupted):
            raise error.__cause__ from None
        raise


@cache
def _ray() -> Any:
    """Import Ray, which reads its settings then."""
    for name, value in SETTINGS.items():
        if _address() == "local" or not name.startswith(_PINGS):
            os.environ.setdefault(name, value)
    try:
        import ray
        import ray.util.placement_group
        import ray.util.scheduling_strategies
    except ImportError as error:
        raise ParamsError(
            "params.yaml",
            "needs the package ray, which is not installed",
            field="machine.engine",
            got="ray",
            remedy="install `rootstock[ray]`, or set it to local",
        ) from error
    logging.getLogger("ray").setLevel(logging.CRITICAL)  # what matters of it is raised
    return ray


def _address() -> str:
    return os.environ.get(ADDRESS) or "local"


def connect(workers: Workers) -> Any:
    """Join the cluster, or start one, and return Ray; a process does it once.

    Args:
        workers: CPUs of a cluster that is started; `auto` is those of this machine.

    Raises:
        ParamsError: Ray is not installed, or `RAY_ADDRESS` names a way in that is not supported.
        MachineError: There is no cluster.
    """
    address = _address()
    if address.startswith("ray://"):
        raise ParamsError(
            ADDRESS,
            "must name a machine and port: Ray's client cannot see the shared folder",
            got=address,
            remedy="run this on a machine of the cluster, with RAY_ADDRESS=<head>:6379 or auto",
        )
    options: dict[str, Any] = {}
    if address == "local":
        _close_to_others()
        options = {"include_dashboard": False, "object_store_memory": _STORE_BYTES}
        options |= {} if workers == "auto" else {"num_cpus": workers}
    elif address != "auto" and (host := _knock(address)).startswith("127."):
        options = {"_node_ip_address": host}  # else Ray takes the outer address, and waits for it
    ray = _ray()
    if ray.is_initialized():
        return ray
    kept = {each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        ray.init(address=address, log_to_driver=False, configure_logging=False, **options)
    except Exception as error:  # Ray raises bare ones too
        raise _away(address, cause(error)) from error
    finally:  # a stage has its own handlers
        for each, handler in kept.items():
            signal.signal(each, handler)
    return ray


def _close_to_others() -> None:
    """Set a token for a cluster that we start: its ports are open to the network."""
    if os.environ.setdefault("RAY_AUTH_MODE", "token") == "token":
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))


def _knock(address: str) -> str:
    """Return the host of an address where something listens.

    Raises:
        ParamsError: It is no address.
        MachineError: Nothing does.
    """
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal():
        raise ParamsError(
            ADDRESS,
            "must be <host>:<port>, auto or local",
            got=address,
            remedy="see docs/cluster.md",
        )
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=_CONNECT_S):
            return host
    except OSError as error:
        raise _away(address, error.strerror or str(error)) from error


def _away(address: str, why: str) -> MachineError:
    return MachineError(
        ADDRESS,
        f"there is no cluster that can be used at {address}: {why}",
        remedy="start it (docs/cluster.md), or set machine.engine to local",
    )


def cause(error: BaseException) -> str:
    """Return the first line of an error."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


class _Map:
    """One map on the machines of the cluster."""

    def __init__(
        self, order: Order[Any, Any], items: Sequence[Any], workers: Workers, shared: SharedFolder
    ) -> None:
        self._order = order
        self._items = items
        self._workers = workers
        self._shared = shared
        self._ray = _ray()
        self._own = identify()
        self._canary = ""
        self._deal = Dealing(len(items), order.grain)
        self._flying: dict[Any, Attempt] = {}
        self._greeted: dict[Any, str] = {}
        """By answer that is awaited: the machine."""
        self._names: dict[str, str] = {}
        """Of all machines that were asked who they are."""
        self._cpus: dict[str, int] = {}
        """Of each process of a machine: no more than its share of them work at once."""
        self._looked = time.monotonic()

    def results(self) -> Iterator[Any]:
        """Yield in the order of the items."""
        self._admit_first()
        while not self._deal.is_done:
            self._send()
            waited = [*self._flying, *self._greeted]
            ready, _ = self._ray.wait(waited, timeout=_WAIT_S) if waited else ([], [])
            for ref in ready:
                self._hear(ref)
            if time.monotonic() - self._looked > _LOOK_S:
                self._look_around()
            for result in self._deal.take():
                if isinstance(result, Raised):  # in its turn, as on one machine
                    result.error.add_note(result.trace)
                    raise result.error
                yield result

    def close(self) -> None:
        """Stop what still runs."""
        for ref in (*self._flying, *self._greeted):
            with contextlib.suppress(Exception):  # its machine may be gone
                self._ray.cancel(ref, force=True)
        self._flying.clear()
        self._greeted.clear()

    def _start(self, function: Any, node: str, *arguments: Any) -> Any:
        """Start a function on one machine and nowhere else, once."""
        place = self._ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(
            node, soft=False
        )
        task = self._ray.remote(function).options(
            num_cpus=self._cpus[node],
            num_gpus=self._order.share.gpus,
            max_retries=0,
            scheduling_strategy=place,
        )
        return task.remote(*arguments)

    def _send(self) -> None:
        for attempt in self._deal.deal(time.monotonic()):
            items = [self._items[number] for number in attempt.numbers]
            self._flying[self._start(run_chunk, attempt.node, self._order, items)] = attempt

    def _hear(self, ref: Any) -> None:
        if ref in self._greeted:
            node = self._greeted.pop(ref)
            self._admit([(node, self._answer(ref, node))])
            return
        attempt = self._flying.pop(ref)
        try:
            found = self._ray.get(ref, timeout=_FETCH_S)
        except self._ray.exceptions.RayTaskError as error:  # ours answer with `Raised`
            raise RuntimeError(f"cannot cross machines: {cause(error.cause)}") from error
        except self._ray.exceptions.RayError as error:
            self._deal.lose(attempt, cause(error))
            return
        answers = [found] * len(attempt.numbers) if isinstance(found, Raised) else found
        self._deal.answer(attempt, answers, time.monotonic())

    def _look_around(self) -> None:
        """Drop machines that are gone, greet new ones, and find what is late."""
        self._looked = time.monotonic()
        there = self._machines()
        for node in set(self._deal.nodes) - set(there):
            log.warning("machine %s is gone; its work goes to others", self._names[node])
            gone = {ref: each for ref, each in self._flying.items() if each.node == node}
            self._flying = {ref: each for ref, each in self._flying.items() if ref not in gone}
            self._deal.leave(node, "its machine is gone")
        self._greet(node for node in there if node not in self._names)
        self._deal.find_late(self._looked)
        for text in self._deal.tell(self._names):
            log.warning("%s", text)
        if not self._deal.nodes and not self._greeted:
            raise MachineError(
                _address(),
                f"no machine of the cluster is left; {self._deal.taken} of {len(self._items)} "
                "items were done",
                remedy="start some, then run again",
            )

    def _machines(self) -> dict[str, int]:
        """Return the machines that are there and can work, and how many chunks each works on."""
        found = {}
        for each in self._ray.nodes():
            processes = self._processes(each["Resources"]) if each["Alive"] else 0
            if processes:
                found[each["NodeID"]] = processes
                self._cpus[each["NodeID"]] = max(1, int(each["Resources"]["CPU"]) // processes)
        return found

    def _processes(self, resources: Mapping[str, float]) -> int:
        """Count the processes of a machine; one with too few CPUs for a process has one."""
        cpus, gpus = int(resources.get("CPU", 0)), int(resources.get("GPU", 0))
        share = self._order.share
        count = max(1, cpus // share.cpus) if cpus else 0
        count = min(count, gpus // share.gpus) if share.gpus else count
        return count if self._workers == "auto" else min(count, self._workers)

    def _greet(self, nodes: Iterable[str]) -> None:
        """Ask machines who they are."""
        names = {each["NodeID"]: each["NodeManagerAddress"] for each in self._ray.nodes()}
        for node in nodes:
            self._names[node] = names[node]
            first = self._items[:1]
            ref = self._start(greet, node, self._order, self._shared.path, node, first)
            self._greeted[ref] = node

    def _admit_first(self) -> None:
        """Wait for all machines to answer, and take those that most of them agree with.

        Raises:
            MachineError: None can work.
        """
        there = self._machines()
        self._greet(there)
        refs = list(self._greeted)
        ready, late = (
            self._ray.wait(refs, num_returns=len(refs), timeout=_GREET_S) if refs else ([], [])
        )
        answers = [(self._greeted[ref], self._answer(ref, self._greeted[ref])) for ref in ready]
        answers += [(self._greeted[ref], f"no answer within {_GREET_S:g} s") for ref in late]
        self._greeted.clear()
        sound = {node: each for node, each in answers if isinstance(each, Identity)}
        self._canary = agreed(sound, there) or ""
        self._admit(answers)
        if not self._deal.nodes:
            raise MachineError(
                _address(),
                f"none of the {len(there)} machines of the cluster can work",
                remedy="see the lines above, and docs/cluster.md",
            )
        count, processes = len(self._deal.nodes), sum(self._deal.nodes.values())
        log.info("engine: %d of %d machines, %d processes", count, len(there), processes)

    def _answer(self, ref: Any, node: str) -> Identity | str:
        """Return who a machine says it is, or why it cannot take part."""
        try:
            found: Identity | str = self._ray.get(ref, timeout=_FETCH_S)
        except self._ray.exceptions.RayError as error:
            return f"cannot work: {cause(error)}"
        if isinstance(found, str):
            return found
        if not self._shared.has_answer(node):
            return f"does not share the folder {self._order.home}: what it wrote is not here"
        return difference(found, self._own) or found

    def _admit(self, answers: Iterable[tuple[str, Identity | str]]) -> None:
        there = self._machines()
        for node, answer in answers:
            if isinstance(answer, Identity) and answer.canary != self._canary:
                answer = "computes other bits"
            if isinstance(answer, str):
                log.warning("machine %s is not used: %s", self._names[node], answer)
            elif node in there:
                self._deal.join(node, there[node])
