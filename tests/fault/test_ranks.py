"""How many processes train together, and whether one of them dies, changes no byte."""

import json
import os
import re
import subprocess
import sys
import time
from functools import partial

import numpy as np
import psutil
import pytest
import torch

from pipeline.ground.errors import IntegrityError, MachineError
from pipeline.train.local_ranks import run_ranks
from pipeline.train.parts import add_parts
from tests.support.closure import ROOT
from tests.support.trainable import make_sources
from tests.support.trainstage import (
    edit_params,
    epochs,
    here,
    journal,
    kill_after,
    messages,
    options,
    outputs,
    start,
    workspace,
)

ALL = {
    "train": {
        "strategy": "full",
        "epochs": 3,
        "batch_size": 10,  # four steps of nine items: parts of 3, 2, 2 and 2
        "parts": 4,
        "dropout": 0.3,
        "batch_norm": "batch",
        "ema": 0.5,
        "mixup": 0.2,
        "cutmix": 1.0,
        "test_views": 2,
    },
    "optim": {"lr": 0.001, "clip_norm": 1.0},
}


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    """Give what training reads; its items have weights."""
    weights = np.linspace(0.1, 3.0, 60)
    return make_sources(
        tmp_path_factory.mktemp("ranks"), items=60, change=lambda rows: rows.assign(weight=weights)
    )


def set_ranks(folder, ranks):
    return edit_params(folder, machine={"ranks": ranks})


def ranks_of(process) -> list[psutil.Process]:
    """Give the processes that train for a stage, in the order of their ranks."""
    children = psutil.Process(process.pid).children(recursive=True)
    return [each for each in children if any("spawn_main" in word for word in each.cmdline())]


@pytest.mark.slow
def test_any_number_of_ranks_gives_the_same_bytes(sources, tmp_path, monkeypatch):
    folders = {ranks: workspace(tmp_path / f"{ranks}", **ALL) for ranks in (1, 2, 4)}
    for ranks, folder in folders.items():
        assert here(set_ranks(folder, ranks), sources, monkeypatch) == 0
    torchrun = workspace(tmp_path / "torchrun", **ALL)
    command = [sys.executable, "-W", "ignore", "-m", "torch.distributed.run", "--standalone"]
    subprocess.run(
        [*command, "--nproc-per-node=2", "-m", "stages.train", *options(sources)],
        cwd=torchrun,
        env={**os.environ, "PYTHONPATH": str(ROOT), "ROOTSTOCK_FOLLOW": "0"},
        check=True,
    )
    expected = outputs(folders[1])
    assert json.loads(expected["kept"])["kept"]["epoch"] > 0
    for folder in (folders[2], folders[4], torchrun):
        assert outputs(folder) == expected
        assert [event["kind"] for event in journal(folder)] == ["start", *3 * ["epoch"], "end"]
        assert list((folder / ".rootstock/checkpoints").iterdir()) == []


@pytest.mark.slow
def test_a_killed_rank_ends_all_and_any_number_goes_on(sources, tmp_path, monkeypatch):
    changes = {**ALL, "train": {**ALL["train"], "epochs": 12}}
    calm, stormy = (workspace(tmp_path / name, **changes) for name in ("calm", "stormy"))
    assert here(calm, sources, monkeypatch) == 0
    process = start(set_ranks(stormy, 2), sources)
    while epochs(stormy) < 3:
        assert process.poll() is None, messages(stormy)
        time.sleep(0.01)
    first, second = ranks_of(process)
    second.kill()
    assert process.wait(timeout=100) == 4
    assert not first.is_running()
    assert messages(stormy)[-1] == (
        "error: train: rank 1 of 2: ended by SIGKILL, so all ranks were ended (run `dvc repro`: it "
        "goes on from the last epoch; if memory was short, lower machine.ranks)"
    )
    assert not any(line.startswith("Traceback") for line in messages(stormy))
    assert journal(stormy)[-1]["status"] == "failed"
    kill_after(set_ranks(stormy, 1), sources, more_epochs=3, delay_s=0.01)
    assert here(set_ranks(stormy, 4), sources, monkeypatch) == 0
    assert outputs(stormy) == outputs(calm)
    starts = [event["first_epoch"] for event in journal(stormy) if event["kind"] == "start"]
    assert len(starts) == 3
    assert 1 < starts[1] < starts[2]


def test_ranks_that_do_not_divide_the_parts_are_refused(sources, tmp_path, monkeypatch, capfd):
    folder = set_ranks(workspace(tmp_path / "w", **ALL), 3)
    assert here(folder, sources, monkeypatch) == 2
    assert capfd.readouterr().err == (
        "error: params.yaml: machine.ranks: must divide train.parts, which is 4, got 3 (set it to "
        "one of 1, 2, 4; train.parts changes results, machine.ranks none)\n"
    )


def same_weights(what, ranks):
    """As rank 1, hold other weights, or compute as another machine would."""
    model = torch.nn.Linear(3, 3, bias=False)
    with torch.no_grad():
        model.weight.zero_()
        if what == "split" and ranks.number == 1:
            model.weight[2, 1] = -0.0  # equal as a number, not to the bit
    ranks.agree({"cpu": "AVX2" if what == "cpu" and ranks.number == 1 else "AVX512", "threads": 1})
    ranks.check_equal([model], 7)
    yield add_parts(2, lambda part: [torch.full((3,), 10.0**part), torch.ones(2)], ranks)[
        0
    ].tolist()
    if what == "bug":
        raise ValueError("a bug")


@pytest.mark.slow
def test_ranks_that_differ_are_named():
    with pytest.raises(
        IntegrityError, match="rank 1 holds other weights than rank 0 after epoch 7"
    ):
        list(run_ranks(partial(same_weights, "split"), 2, device="cpu"))
    with pytest.raises(MachineError, match=re.escape("has cpu 'AVX512', rank 1 'AVX2'")):
        list(run_ranks(partial(same_weights, "cpu"), 2, device="cpu"))
    told = run_ranks(partial(same_weights, "bug"), 2, device="cpu")
    assert next(told) == [11.0, 11.0, 11.0]  # five numbers, which two ranks do not share evenly
    with pytest.raises(ValueError, match="a bug"):
        next(told)
