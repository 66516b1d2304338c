"""What a cluster costs and gains, on machines that one computer plays.

CPU seconds are of all processes that take part, Ray's own too, from the start of a pass to its end;
a cluster is started before. Local and Ray take turns, and the table has the median of the passes.
"""

import logging
import os
import signal
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pandas as pd
import psutil

from bench.decode import SIZE_PX, make_picture
from pipeline.compute.engine import MachineParams, map_in_order
from pipeline.ground.files import sha256_file
from pipeline.picture.shelf.params import TransformParams
from pipeline.store.encoded_shard import Encoding
from pipeline.store.writer import write_store
from tests.support.raylets import Raylets, running_cluster

LOCAL = MachineParams.alone(workers=2, progress="none")
RAY = MachineParams(**LOCAL.model_dump() | {"engine": "ray"})
WORK_S = 0.25
"""Of a stand-in item, which sleeps: so many machines can work on two cores."""

ITEMS_A_MACHINE = 24


def rates(pictures: int, rounds: int, sizes: Sequence[int]) -> Iterator[str]:
    """Compare CPU seconds of `transform` on the local engine and on Ray, in turn."""
    with tempfile.TemporaryDirectory() as name:
        os.chdir(name)
        paths = [Path(f"{each}.jpg") for each in range(pictures)]
        for seed, path in enumerate(paths):
            make_picture(seed, path, side_px=500)
        rows = pd.DataFrame(
            {
                "path": [each.name for each in paths],
                "id": [sha256_file(each) for each in paths],
                "label": "x",
                "split": "train",
                "group": None,
                "weight": 1.0,
            }
        )
        _pass(rows, 32, RAY)  # starts the cluster, and imports
        for shard_rows in sizes:
            spent: dict[str, list[float]] = {"local": [], "ray": []}
            walls: dict[str, list[float]] = {"local": [], "ray": []}
            bits = set()
            for _ in range(rounds):
                for machine in (LOCAL, RAY):
                    cpu, wall, digest = _pass(rows, shard_rows, machine)
                    spent[machine.engine].append(cpu)
                    walls[machine.engine].append(wall)
                    bits.add(digest)
            cpu, wall = (
                {kind: statistics.median(each) for kind, each in both.items()}
                for both in (spent, walls)
            )
            yield (
                f"{pictures} JPEGs, {shard_rows} rows a task | CPU s local {cpu['local']:.1f}, "
                f"Ray {cpu['ray']:.1f}: {cpu['local'] / cpu['ray']:.2f} | "
                f"wall s {wall['local']:.1f}, {wall['ray']:.1f} | "
                f"bytes equal: {len(bits) == 1} | n = {rounds} in turn"
            )


def _pass(rows: pd.DataFrame, shard_rows: int, machine: MachineParams) -> tuple[float, float, str]:
    params = TransformParams(
        size_px=SIZE_PX,
        resize="squash",
        interpolation="bilinear",
        background=(0, 0, 0),
        white16=65535,
        shard_rows=shard_rows,
    )
    encoding = Encoding("picture", params.spec(), params.shard_rows)
    cpu, start = _cpu_s(), time.perf_counter()
    write_store(Path("store"), rows, encoding, raw=Path(), machine=machine)
    return _cpu_s() - cpu, time.perf_counter() - start, sha256_file(Path("store/store.json"))


def _cpu_s() -> float:
    """Return the CPU seconds of this process and all below it, those that ended too."""
    own = psutil.Process()
    total = 0.0
    for each in (own, *own.children(recursive=True)):
        try:
            total += sum(each.cpu_times()[:4])  # user, system, and of children that ended
        except psutil.NoSuchProcess:
            continue
    return total


def stand_in(item: int) -> int:
    """Sleep in place of work."""
    time.sleep(WORK_S)
    return item


def scaling(machines: Sequence[int]) -> list[str]:
    """Give items to more and more machines, so many to each; kill and freeze one of them.

    It is done in a process of its own: one that was in a cluster cannot start another.
    """
    with ProcessPoolExecutor(1, get_context("spawn"), logging.disable, (logging.CRITICAL,)) as own:
        return own.submit(_scale, machines).result()


def _scale(machines: Sequence[int]) -> list[str]:
    return list(_scaling(machines))


def _scaling(machines: Sequence[int]) -> Iterator[str]:
    with running_cluster() as raylets:
        found: dict[int, float] = {}
        for count in machines:
            while len(raylets.nodes) < count:
                raylets.add()
            _sleep(count)  # imports
            found[count] = _sleep(ITEMS_A_MACHINE * count)
            ideal = ITEMS_A_MACHINE * WORK_S
            yield (
                f"{count} machines, {ITEMS_A_MACHINE} items of {WORK_S} s (sleep) each | "
                f"{found[count]:.1f} s | {ideal / found[count]:.2f} of ideal, "
                f"{found[machines[0]] / found[count]:.2f} of {machines[0]} | n = 1"
            )
        yield from _faults(raylets)


def _sleep(count: int) -> float:
    start = time.perf_counter()
    found = list(map_in_order(stand_in, list(range(count)), RAY, title="bench"))
    if found != list(range(count)):
        raise RuntimeError("other results")
    return time.perf_counter() - start


def _faults(raylets: Raylets) -> Iterator[str]:
    """Kill and freeze one of the machines at a third."""
    for told, signum in (("killed", signal.SIGKILL), ("frozen", signal.SIGSTOP)):
        node, _ = raylets.add()
        count = ITEMS_A_MACHINE * len(raylets.nodes)
        usual = _sleep(count)
        start = time.perf_counter()
        results = map_in_order(stand_in, list(range(count)), RAY, title="bench")
        found = [next(results) for _ in range(count // 3)]
        raylets.send(node, signum)
        found += list(results)
        lost = time.perf_counter() - start - usual
        raylets.remove(node)
        yield (
            f"1 of {len(raylets.nodes) + 1} machines {told} at a third of {count} items | "
            f"{lost:.1f} s longer than {usual:.1f} s | "
            f"results equal: {found == list(range(count))} | n = 1"
        )
