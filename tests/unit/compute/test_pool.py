"""A crash, a hang or a flood of memory costs the one item, and the rest comes in its order."""

import os
import signal
import subprocess
import sys
import time
from contextlib import closing
from functools import partial
from pathlib import Path

import psutil
import pytest

from pipeline.compute.engine import MachineParams, map_in_order
from pipeline.compute.pool import Pool
from pipeline.ground.errors import DataError, MachineError
from pipeline.ground.limits import ItemLimits, clock_stopped, memory_not_counted
from tests.support.closure import ROOT

LIMITS = ItemLimits(bytes=0, seconds=1.0, memory=256 << 20)


def machine(workers):
    return MachineParams.alone(workers=workers, progress="none")


def contained(function, items, workers=2, limits=LIMITS):
    """Map, with the item and the loss as the result of a lost item."""
    return list(
        map_in_order(
            function,
            items,
            machine(workers),
            title="t",
            limits=limits,
            lost=lambda item, loss: (item, loss.reason, loss.detail),
        )
    )


def spin():
    while True:
        pass


WAYS = {
    "segfault": lambda: os.kill(os.getpid(), signal.SIGSEGV),
    "abort": os.abort,
    "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "exit": lambda: os._exit(7),
    "sleep": lambda: time.sleep(60),
    "spin": spin,
    "allocate": lambda: bytearray(1 << 30),
}


def attack(ways, item):
    """Do to this process what a decoder might; `ways` says what at which item."""
    if item in ways:
        WAYS[ways[item]]()
    return item


ATTACKS = {
    "segfault": ("crashed", "ended by SIGSEGV"),
    "abort": ("crashed", "ended by SIGABRT"),
    "kill": ("crashed", "ended by SIGKILL"),
    "exit": ("crashed", "exit code 7"),
    "sleep": ("hung", "no answer within 1 s"),
    "spin": ("hung", "no answer within 1 s"),
    "allocate": ("crashed", "needs more than 268435456 bytes of memory"),
}


@pytest.mark.parametrize("way", ATTACKS)
def test_an_attack_costs_its_item_alone(way):
    items = list(range(40))
    expected = [*range(17), (17, *ATTACKS[way]), *range(18, 40)]
    assert contained(partial(attack, {17: way}), items) == expected


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_many_attacks_at_the_start_in_a_row_and_at_the_end(workers):
    ways = {0: "segfault", 1: "exit", 2: "abort", 20: "segfault", 38: "exit", 39: "segfault"}
    expected = [(item, *ATTACKS[ways[item]]) if item in ways else item for item in range(40)]
    assert contained(partial(attack, ways), list(range(40)), workers) == expected


def test_one_item_alone_is_contained_too():
    assert contained(partial(attack, {5: "segfault"}), [5], workers=1) == [
        (5, "crashed", "ended by SIGSEGV")
    ]
    assert contained(partial(attack, {}), [], workers=1) == []


def crash_once(folder, item):
    marker = folder / str(item)
    if item in (3, 4) and not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return item


def test_who_was_killed_by_chance_gets_a_second_chance(tmp_path):
    items = list(range(30))
    assert contained(partial(crash_once, tmp_path), items) == items
    assert {path.name for path in tmp_path.iterdir()} == {"3", "4"}


def test_without_limits_the_first_death_is_an_error_that_names_the_item():
    with pytest.raises(MachineError, match=r"machine\.workers: a worker process died at '7'") as e:
        list(map_in_order(partial(attack, {7: "kill"}), list(range(40)), machine(2), title="t"))
    assert e.value.exit_code == 4
    pairs = [(f"{n}.png", "hash") for n in range(40)]
    function = partial(attack, {("7.png", "hash"): "segfault"})
    with pytest.raises(MachineError, match=r"died at '7\.png': ended by SIGSEGV \(fewer workers"):
        list(map_in_order(function, pairs, machine(2), title="t"))


def fail(item):
    if item == 30:
        raise DataError("here", "is wrong", got=item)
    if item == 31:
        return lambda: None
    return item


def test_an_error_is_raised_as_it_was_with_the_place_where_it_rose():
    for workers, limits in ((1, LIMITS), (2, LIMITS), (2, None)):
        with pytest.raises(DataError, match="here: is wrong, got 30") as caught:
            list(map_in_order(fail, list(range(31)), machine(workers), title="t", limits=limits))
        if workers == 2:
            assert "in fail" in caught.value.__notes__[0]


def test_a_result_that_cannot_be_sent_is_an_error():
    with pytest.raises(RuntimeError, match="cannot cross processes"):
        contained(fail, [31])


def megabytes(item):
    return bytes([item % 256]) * 3_000_000


def test_large_results_come_whole_and_few_are_held():
    with closing(Pool(megabytes, 2, chunk=7)) as pool:
        for item, result in enumerate(pool.results(iter(range(120)))):
            assert result == bytes([item % 256]) * 3_000_000
            assert len(pool._done) <= 2 * 3 * 7


def reverse(item):
    return item[::-1]


@pytest.mark.parametrize("anew", [False, True])
def test_workers_live_from_call_to_call_and_take_large_items(anew):
    items = [bytes([n, 255 - n]) * 500_000 for n in range(12)]
    options = {"chunk": 2, "are_large": True, "anew": anew}
    with closing(Pool(reverse, 2, LIMITS, **options)) as pool:
        assert list(pool.results(items)) == [item[::-1] for item in items]
        pids = [worker.process.pid for worker in pool._workers]
        assert len(pids) == 2
        assert list(pool.results(items[:5])) == [item[::-1] for item in items[:5]]
        assert list(pool.results([])) == []
        assert [worker.process.pid for worker in pool._workers] == pids
        os.kill(pids[0], signal.SIGKILL)  # an idle one: nothing is lost
        assert list(pool.results(items)) == [item[::-1] for item in items]
        pids = [worker.process.pid for worker in pool._workers]
    assert not any(map(psutil.pid_exists, pids))


def test_a_call_that_was_left_does_not_reach_into_the_next():
    with closing(Pool(partial(attack, {5: "segfault"}), 2, LIMITS, chunk=3)) as pool:
        results = pool.results(iter(range(40)))
        assert [next(results) for _ in range(4)] == [0, 1, 2, 3]
        results.close()
        assert list(pool.results([7, 8, 9])) == [7, 8, 9]


def work(item):
    time.sleep(0.002)
    return os.getpid()


def test_whoever_stops_listening_leaves_no_worker_behind():
    results = map_in_order(work, list(range(400)), machine(2), title="t", limits=LIMITS)
    pids = {next(results) for _ in range(60)}
    assert 1 <= len(pids) <= 2
    assert all(psutil.pid_exists(pid) for pid in pids)
    results.close()
    assert not any(psutil.pid_exists(pid) for pid in pids)


def test_a_worker_that_cannot_start_is_told():
    with pytest.raises(MachineError, match="a worker process could not start: exit code 1"):
        list(Pool(Unpicklable(), 1).results([1, 2, 3]))


class Unpicklable:
    """Can be sent, and not be received."""

    __module__ = __name__

    def __reduce__(self):
        return int, ("no number",)

    def __call__(self, item):
        return item


PROGRAM = """
import os, signal, sys, time
from pathlib import Path
from pipeline.compute.engine import MachineParams, map_in_order
from pipeline.ground.limits import ItemLimits

def work(item):
    Path(sys.argv[1], str(os.getpid())).touch()
    time.sleep(0.05)
    return item

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored below a background job
    machine = MachineParams.alone(workers=2, progress="none")
    for item in map_in_order(work, list(range(10_000)), machine, title="t",
                             limits=ItemLimits(0, 60.0, 1 << 30)):
        print(item, flush=True)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_workers_end_with_the_process_that_started_them(tmp_path, number):
    script = tmp_path / "program.py"
    script.write_text(PROGRAM, encoding="utf-8")
    (tmp_path / "pids").mkdir()
    process = subprocess.Popen(
        [sys.executable, script, tmp_path / "pids"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        text=True,
        start_new_session=True,
    )
    for _ in range(20):
        process.stdout.readline()
    process.send_signal(number)
    _, told = process.communicate(timeout=60)
    assert process.returncode != 0
    pids = [int(path.name) for path in Path(tmp_path / "pids").iterdir()]
    assert len(pids) == 2, told
    deadline = time.monotonic() + 60
    while any(map(psutil.pid_exists, pids)) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not any(map(psutil.pid_exists, pids))


NOISY = """
import os
from pipeline.compute.engine import MachineParams, map_in_order
from pipeline.ground.limits import ItemLimits

def work(item):
    os.write(2, b"a C library complains\\n")
    return item

if __name__ == "__main__":
    machine = MachineParams.alone(workers=2, progress="none")
    limits = ItemLimits(0, 60.0, 1 << 30)
    assert list(map_in_order(work, list(range(40)), machine, title="t", limits=limits)) == list(range(40))
"""  # noqa: E501


def test_what_decoders_print_is_not_told(tmp_path):
    (tmp_path / "noisy.py").write_text(NOISY, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "noisy"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        timeout=60,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


WITH_A_MAIN = """
import pandas
from functools import partial
from light import loaded
from pipeline.compute.engine import MachineParams, map_in_order
from pipeline.ground.limits import ItemLimits

print("main")
mine = partial(loaded, ("pandas", "matplotlib", "pydantic"))
if __name__ == "__main__":
    machine = MachineParams.alone(workers=2, progress="none")
    print(*set(map(tuple, map_in_order(mine, [{module!r}] * 8, machine, title="t"))))
"""


LIGHT = """
import importlib, sys

def loaded(names, module):
    importlib.import_module(module)
    return [name for name in names if name in sys.modules]
"""


@pytest.mark.parametrize(
    "module",
    ["pipeline.store.encoded_shard", "pipeline.clean.probe_item", "pipeline.picture.read.probe"],
)
def test_workers_load_their_function_and_not_the_main_module(tmp_path, module):
    """`transform` and `clean` load tables, plots and params; what decodes for them does not."""
    (tmp_path / "light.py").write_text(LIGHT)
    script = tmp_path / "script.py"
    script.write_text(WITH_A_MAIN.format(module=module))
    path = os.pathsep.join([str(tmp_path), str(ROOT)])
    done = subprocess.run(
        [sys.executable, script],
        capture_output=True,
        check=True,
        text=True,
        env=os.environ | {"PYTHONPATH": path},
    )
    assert done.stdout.splitlines() == ["main", "()"], done.stderr


class Told:
    """Says whether an item was announced, with how many."""

    def __init__(self):
        self.chunk = []

    def announce(self, items):
        self.chunk = items
        if 0 in items:
            raise OSError("the one that needs it tells")

    def __call__(self, item):
        return item in self.chunk, len(self.chunk)


def test_what_comes_is_announced_by_chunks():
    with closing(Pool(Told(), 1, chunk=4)) as pool:
        assert list(pool.results(range(12))) == [(True, 4)] * 12


FAR = ItemLimits(bytes=0, seconds=2.0, memory=64 << 20)
_library = []


def wait_and_grow(item):
    """Wait for a network, load what stays, and take a little less or more than is allowed."""
    with clock_stopped():
        time.sleep(1.1 * FAR.seconds)
    with memory_not_counted():
        _library.append(bytearray(FAR.memory))
    return len(bytearray(FAR.memory * item // 4))


def test_waiting_for_a_network_and_what_reads_it_are_not_the_items_own():
    less, more = contained(wait_and_grow, [3, 5], limits=FAR)
    assert less == FAR.memory * 3 // 4
    assert more[:2] == (5, "crashed")
