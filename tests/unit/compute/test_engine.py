"""Parallel work gives what serial work gives, in the same order; a dead worker is told."""

import os
import signal

import pytest

from pipeline.compute.engine import MachineParams, map_in_order
from pipeline.ground.errors import MachineError


def machine(workers):
    return MachineParams.alone(workers=workers, progress="none")


def square(x):
    return x * x


def die(x):
    if x == 50:
        os.kill(os.getpid(), signal.SIGKILL)
    return x


def test_order_and_results_do_not_depend_on_the_number_of_workers():
    items = list(range(301))
    expected = [x * x for x in items]
    for workers in (1, 2, 3):
        assert list(map_in_order(square, items, machine(workers), title="t")) == expected


def test_no_items_and_few_items():
    assert list(map_in_order(square, [], machine(2), title="t")) == []
    assert list(map_in_order(square, [3], machine("auto"), title="t")) == [9]


def test_a_killed_worker_is_one_line_with_exit_code_4():
    with pytest.raises(MachineError, match=r"machine.workers: a worker process died") as caught:
        list(map_in_order(die, list(range(100)), machine(2), title="t"))
    assert caught.value.exit_code == 4
