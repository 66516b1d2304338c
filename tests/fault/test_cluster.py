"""Several machines give the bytes of one, though one is killed, frozen, or of another kind."""

import logging
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import psutil
import pytest

from pipeline.compute import cluster
from pipeline.compute.engine import Checked, MachineParams, map_in_order
from pipeline.ground.errors import DataError, MachineError, ParamsError
from pipeline.ground.limits import ItemLimits
from tests.property.test_store_laws import contents, encoding, make_params, make_raw
from tests.support.closure import ROOT
from tests.support.raylets import running_cluster
from tests.support.trainable import make_sources
from tests.support.trainstage import (
    edit_params,
    epochs,
    here,
    journal,
    messages,
    outputs,
    start,
    workspace,
)
from tests.unit.compute.test_pool import attack

RAY = MachineParams(workers="auto", progress="none", engine="ray", ranks=1)
LIMITS = ItemLimits(bytes=0, seconds=1.0, memory=256 << 20)


@pytest.fixture(scope="module")
def raylets(tmp_path_factory):
    before = Path.cwd()
    os.chdir(tmp_path_factory.mktemp("driver"))  # machines take our code from their own path
    try:
        with running_cluster() as raylets:
            raylets.add()
            yield raylets
    finally:
        os.chdir(before)


@pytest.fixture
def second(raylets):
    """Give a second machine that may be broken."""
    node, _ = raylets.add()
    yield node
    raylets.send(node, signal.SIGCONT)
    raylets.remove(node)


@pytest.fixture
def home(raylets, tmp_path, monkeypatch, caplog):
    monkeypatch.chdir(tmp_path)
    caplog.set_level(logging.INFO, logger="pipeline")
    return tmp_path


def double(item):
    return 2 * item


def fail(item):
    if item == 5:
        raise DataError("five.png", "is no picture")
    return item


def spell(item):
    return os.environ.get("ROUNDS_OTHERWISE", "") + str(item)


def slow(folder, item):
    """Take a while, and say who did it."""
    (folder / f"{item}-{os.getpid()}").touch()
    subprocess.run(["sleep", "0.3"], check=True)
    return item


@pytest.mark.slow
def test_a_store_of_two_machines_has_the_bytes_of_one(home, raylets, second):
    from pipeline.store.writer import write_store

    rows = make_raw(home / "raw", 90)
    params = encoding(make_params(size_px=64, shard_rows=1))
    alone = RAY.here()
    write_store(Path("alone"), rows, params, raw=Path("raw"), machine=alone)
    write_store(Path("two"), rows, params, raw=Path("raw"), machine=RAY)
    assert contents(home / "two") == contents(home / "alone")
    assert not list((home / ".rootstock/cluster").iterdir())


@pytest.mark.slow
@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGSTOP])
def test_a_machine_that_is_killed_or_frozen_costs_nothing(home, raylets, second, caplog, signum):
    results = map_in_order(partial(slow, home), list(range(60)), RAY, title="t")
    found = [next(results) for _ in range(20)]
    raylets.send(second, signum)
    assert found + list(results) == list(range(60))
    assert len({path.name.split("-")[1] for path in home.glob("[0-9]*")}) > 1
    assert "is gone; its work goes to others" in caplog.text


@pytest.mark.slow
def test_hostile_items_cost_themselves_and_errors_cross_machines(home, raylets, second):
    ways = {3: "segfault", 11: "allocate", 20: "sleep", 31: "kill"}

    def run(machine):
        return list(
            map_in_order(
                partial(attack, ways),
                list(range(40)),
                machine,
                title="t",
                limits=LIMITS,
                lost=lambda item, loss: (item, loss.reason, loss.detail),
            )
        )

    assert run(RAY) == run(RAY.here())
    with pytest.raises(DataError, match=r"^five\.png: is no picture"):
        list(map_in_order(fail, list(range(40)), RAY, title="t"))
    with pytest.raises(MachineError, match=r"a worker process died at '7': .* 3 times"):
        list(map_in_order(partial(attack, {7: "kill"}), list(range(40)), RAY, title="t"))


@pytest.mark.slow
def test_machines_with_other_code_or_other_bits_are_left_out_by_name(home, raylets, caplog):
    shutil.copytree(ROOT / "pipeline", home / "old" / "pipeline")
    with (home / "old/pipeline/compute/node.py").open("a") as stream:
        stream.write("# edited\n")
    old, old_host = raylets.add(PYTHONPATH=f"{home / 'old'}:{ROOT}")
    odd, odd_host = raylets.add(ROUNDS_OTHERWISE="1")
    found = list(map_in_order(Checked(spell, spell), list(range(100)), RAY, title="t"))
    assert found == [str(each) for each in range(100)]
    assert f"machine {old_host} is not used: has other code" in caplog.text
    assert f"machine {odd_host} is not used: computes other bits" in caplog.text
    assert re.search(r"engine: 1 of \d machines", caplog.text)  # one that was removed may be listed
    raylets.remove(old)
    raylets.remove(odd)


def test_without_a_cluster_or_without_ray_one_line_says_so(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def run(address):
        monkeypatch.setenv("RAY_ADDRESS", address)
        return list(map_in_order(double, [1, 2, 3], RAY, title="t"))

    with pytest.raises(MachineError, match=r"can be used at 127\.0\.0\.1:1: ") as error:
        run("127.0.0.1:1")
    assert error.value.exit_code == 4
    with pytest.raises(ParamsError, match="Ray's client cannot see the shared folder") as refused:
        run("ray://head:10001")
    assert refused.value.exit_code == 2
    with pytest.raises(ParamsError, match="must be <host>:<port>, auto or local, got 'head'"):
        run("head")
    monkeypatch.setitem(sys.modules, "ray", None)
    cluster._ray.cache_clear()
    with pytest.raises(ParamsError, match=r"machine\.engine: needs the package ray") as missing:
        run("auto")
    assert missing.value.exit_code == 2
    assert "rootstock[ray]" in str(missing.value)
    cluster._ray.cache_clear()


DRIVER = """
import os, signal
from pipeline.compute.engine import MachineParams, map_in_order
from tests.unit.compute.test_engine import square
machine = MachineParams(workers=1, progress="none", engine="ray", ranks=1)
assert list(map_in_order(square, [1, 2, 3], machine, title="t")) == [1, 4, 9]
import ray
print(ray._private.worker._global_node.get_session_dir_path(), flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.slow
def test_a_cluster_that_was_started_here_ends_with_the_killed_process(monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    done = subprocess.run(
        [sys.executable, "-c", DRIVER], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    session = done.stdout.strip()
    assert Path(session).is_dir()

    def left():
        return [
            each.pid
            for each in psutil.process_iter(["cmdline"])
            if any(session in part for part in each.info["cmdline"] or ())
        ]

    for _ in range(300):
        if not left():
            return
        subprocess.run(["sleep", "0.1"], check=True)
    raise AssertionError(left())


@pytest.mark.slow
def test_ranks_on_two_machines_give_the_bytes_of_one_and_a_lost_one_ends_all(
    home, raylets, second, monkeypatch
):
    sources = make_sources(home / "sources", items=60)
    changes = {"train": {"strategy": "full", "epochs": 3, "parts": 2, "batch_norm": "batch"}}
    alone, two, cut = (workspace(home / name, **changes) for name in ("alone", "two", "cut"))
    assert here(alone, sources, monkeypatch) == 0
    far = {"engine": "ray", "ranks": 2, "progress": "lines"}
    for folder in (two, cut):
        edit_params(folder, machine=far)
    assert here(two, sources, monkeypatch) == 0
    assert outputs(two) == outputs(alone)
    assert [event["kind"] for event in journal(two)] == ["start", *3 * ["epoch"], "end"]
    edit_params(cut, train={"epochs": 500})
    process = start(cut, sources)
    while epochs(cut) < 2:
        assert process.poll() is None, messages(cut)
        time.sleep(0.01)
    raylets.send(second, signal.SIGKILL)
    assert process.wait(timeout=200) == 4
    assert re.match(
        r"error: train: rank [01] of 2: its process or machine is lost \(.*\), so all ranks were "
        r"ended \(run `dvc repro`: it goes on from the last epoch",
        messages(cut)[-1],
    )
    assert "epoch 1" in "\n".join(messages(cut))  # what a rank logs there is seen here
