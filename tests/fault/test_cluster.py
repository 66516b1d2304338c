"""Several machines give the bytes of one, though one is killed, frozen, or of another kind."""

import logging
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import pandas as pd
import psutil
import pytest

from pipeline.compute import cluster
from pipeline.compute.engine import Checked, MachineParams, map_in_order
from pipeline.compute.params import RuntimeParams
from pipeline.crossval.far import FoldFits, far_folds
from pipeline.crossval.params import CrossvalParams
from pipeline.crossval.run import run_folds
from pipeline.ground.errors import DataError, MachineError, ParamsError
from pipeline.ground.limits import ItemLimits
from pipeline.ground.tables import write_table
from pipeline.predict import run as predict
from pipeline.train.far import Fits
from pipeline.train.inputs import open_parts
from pipeline.tune.search import open_study, run_trials
from pipeline.tune.space import check_space
from pipeline.tune.trial import run_far, run_here
from tests.property.test_store_laws import contents, encoding, make_params, make_raw
from tests.support.closure import ROOT
from tests.support.predicting import predict_to, tiny_resident
from tests.support.published import RESULTS
from tests.support.raylets import running_cluster
from tests.support.trainable import SECTIONS, make_sources, plan
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
from tests.unit.crossval.test_run import EVALUATE, finish
from tests.unit.tune.test_search import setting
from tests.unit.tune.test_search import told as ended

RAY = MachineParams(workers="auto", progress="none", engine="ray", ranks=1)
FOLDS = CrossvalParams(folds=3, repeats=1, items="all", val_frac=0.25, seed=1)
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
    """Give a second machine that may be broken; one that was not serves the next test too."""
    node = raylets.nodes[1] if len(raylets.nodes) > 1 else raylets.add()[0]
    yield node
    if node in raylets.harmed:
        raylets.send(node, signal.SIGCONT)
        raylets.remove(node)


@pytest.fixture
def home(raylets, tmp_path, monkeypatch, caplog):
    monkeypatch.chdir(tmp_path)
    caplog.set_level(logging.INFO, logger="pipeline")
    return tmp_path


def below(folder):
    """Give the bytes of all files in a folder and in those within it."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    assert files
    return {path.relative_to(folder): path.read_bytes() for path in files}


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
    results = map_in_order(partial(slow, home), list(range(100)), RAY, title="t")
    found = [next(results) for _ in range(20)]
    raylets.send(second, signum)
    assert found + list(results) == list(range(100))
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
def test_folds_and_trials_on_two_machines_have_the_bytes_of_one(home, raylets, second):
    sources = make_sources(home / "s")
    write_table(home / "near.parquet", pd.DataFrame({"path_a": [], "path_b": []}, dtype=str))
    state = Path("alone/state")

    def folds(**train):
        fits = Fits(sources, plan(train=train), RuntimeParams(**SECTIONS["runtime"]))
        return FoldFits(fits, FOLDS, EVALUATE, Path("near.parquet"), state)

    work = folds(epochs=2)
    finish(work.open(), Path("alone"))
    far = replace(work, state=Path("two/state"))
    scored = list(run_folds(far.open(), machine=RAY, state=far.state, far=far_folds(far, RAY)))
    finish(far.open(), Path("two"), scored)
    assert below(home / "two") == below(home / "alone")

    wrong = folds(batch_size=64)
    told = []
    for way in (None, far_folds(wrong, RAY)):
        with pytest.raises(ParamsError) as refused:
            list(run_folds(wrong.open(), machine=RAY, state=Path("wrong"), far=way))
        told.append(str(refused.value))
    assert told[0] == told[1]

    raw, params = setting(trials=4, together=2)
    found = []
    for name, run in (("a", run_here(raw, open_parts(sources))), ("b", run_far(raw, sources, RAY))):
        study = open_study(raw, params, check_space(raw, params), home / f"{name}.db")
        run_trials(study, run, raw, params)
        found.append(ended(study))
    assert found[0] == found[1]


@pytest.mark.slow
def test_a_machine_that_dies_costs_a_prediction_nothing(home, raylets, second, monkeypatch, caplog):
    monkeypatch.setenv("DVC_ROOT", str(home))
    monkeypatch.setattr(predict, "_CHUNK", 2)
    with tiny_resident(home, items=40) as (resident, _):
        (RESULTS.raw / "images/cut.png").write_bytes(b"\x89PNG\r\n\x1a\n cut")
        predict_to(home / "alone.csv", resident, RESULTS.raw / "images")
        real, saved = predict.Chunks.save, []

        def save(*each):
            real(*each)
            saved.append(each)
            if len(saved) == 1:
                raylets.send(second, signal.SIGKILL)

        monkeypatch.setattr(predict.Chunks, "save", save)
        predict_to(home / "two.csv", resident, RESULTS.raw / "images", engine="ray")
    assert len(saved) == 21
    assert (home / "two.csv").read_bytes() == (home / "alone.csv").read_bytes()
    assert "engine: 2 of 2 machines" in caplog.text


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
