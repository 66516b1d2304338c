"""Edits between real `dvc repro` runs, with kills: each output is that of a build from nothing."""

import random
import shutil
import subprocess
import sys
import time
from contextlib import suppress

import pandas as pd
import psutil
import pytest
import yaml

from tests.support.processes import children
from tests.support.project import ENVIRONMENT, add_small_data, clone, package_data, run, set_params

pytestmark = pytest.mark.slow

STAGES = ("clean", "transform", "features")
ITEMS = 60


def make(folder):
    clone(folder)
    raw = add_small_data(folder, items=ITEMS)
    set_params(
        folder,
        transform={"size_px": 64, "shard_rows": 4, "resize": "squash"},
        features={"cut": -4, "views": 2},
        augment={"hflip": 0.5, "vflip": 0.5, "transpose": 0.5},
        runtime={"threads": 1},
        machine={"workers": 1, "progress": "none"},
    )
    return raw


def outs(folder):
    """Give the digests of all outputs that the stages recorded."""
    stages = yaml.safe_load((folder / "dvc.lock").read_text())["stages"]
    return {out["path"]: out["md5"] for stage in STAGES for out in stages[stage]["outs"]}


def edit(raw, generator):
    """Add, change, remove and relabel some pictures."""
    labels = pd.read_csv(raw / "labels.csv")
    package = sorted((package_data() / "images").iterdir())
    for path in generator.sample(list(labels["path"]), 2):
        (raw / path).unlink()
        labels = labels[labels["path"] != path]
    for path in generator.sample(list(labels["path"]), 2):
        shutil.copy(generator.choice(package), raw / path)
    for source in generator.sample(package, 3):
        name = f"images/{generator.getrandbits(32):08x}.png"
        shutil.copy(source, raw / name)
        row = {"path": name, "probability": 0.0, "module_type": "mono", "label": "functional"}
        labels = pd.concat([labels, pd.DataFrame([row | {"weight": 1.0}])], ignore_index=True)
    chosen = generator.sample(range(len(labels)), 2)
    labels.loc[labels.index[chosen], "label"] = "defective"
    labels.to_csv(raw / "labels.csv", index=False)


def repro_and_kill(folder, generator):
    """Start `dvc repro`, and kill the running stage at some moment; it may have ended before."""
    process = subprocess.Popen(
        [sys.executable, "-m", "dvc", "repro", "--quiet", "features"],
        cwd=folder,
        env=ENVIRONMENT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while process.poll() is None and not stages_of(process):
        time.sleep(0.05)
    time.sleep(generator.uniform(0.0, 6.0))
    killed = 0
    for child in stages_of(process):
        with suppress(psutil.Error):
            child.kill()
            killed += 1
    process.wait()
    return killed


def stages_of(process):
    """Give the processes of stages that DVC has started."""
    return children(process.pid, "stages.", recursive=True)


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    folder = tmp_path_factory.mktemp("incremental")
    raw = make(folder)
    run(folder, "dvc", "repro", "features")
    return folder, raw


def test_edits_and_kills_leave_what_a_build_from_nothing_leaves(project, tmp_path):
    folder, raw = project
    generator = random.Random(7)
    killed = 0
    for _ in range(2):
        edit(raw, generator)
        run(folder, "dvc", "add", "--quiet", "data/small/raw")
        killed += repro_and_kill(folder, generator)
        killed += repro_and_kill(folder, generator)
        done = run(folder, "dvc", "repro", "features")
    assert killed >= 1
    told = done.stdout + done.stderr
    assert "from the last build" in told or "didn't change" in told

    other = tmp_path / "other"
    fresh = make(other)
    shutil.rmtree(fresh)
    shutil.copytree(raw, fresh)
    run(other, "dvc", "add", "--quiet", "data/small/raw")
    built = run(other, "dvc", "repro", "features")
    told = built.stdout + built.stderr
    assert "from the last build" not in told
    assert "RuntimeWarning" not in told
    assert outs(folder) == outs(other)
    assert len(outs(folder)) >= 8


def test_one_more_picture_is_all_that_is_made(project):
    folder, raw = project
    run(folder, "dvc", "repro", "--quiet", "features")
    labels = pd.read_csv(raw / "labels.csv")
    shutil.copy(package_data() / "images/cell1000.png", raw / "images/extra.png")
    labels.loc[len(labels)] = dict.fromkeys(labels.columns) | {
        "path": "images/extra.png",
        "label": "functional",
        "weight": 1.0,
    }
    labels.to_csv(raw / "labels.csv", index=False)
    run(folder, "dvc", "add", "--quiet", "data/small/raw")
    done = run(folder, "dvc", "repro", "features")
    told = done.stdout + done.stderr
    rows = len(pd.read_parquet(folder / "artifacts/transform/store/index.parquet"))
    assert f"clean: {len(labels) - 1} of {len(labels)} items are as in the last build" in told
    assert f"{rows - 1} of them from the last build" in told
    assert f"features: {rows - 1} of {rows} rows are from the last build" in told
    assert "features: 1 items in 2 views" in told
    for path in (folder / "artifacts").rglob("*.npy"):  # links to DVC's cache while the stage ran
        assert path.stat().st_nlink == 1
        assert path.stat().st_mode & 0o200


def test_the_run_cache_still_restores(project):
    folder, raw = project
    run(folder, "dvc", "repro", "--quiet", "features")
    before = outs(folder)
    extra = raw / "images/once.png"
    shutil.copy(package_data() / "images/cell0500.png", extra)
    run(folder, "dvc", "add", "--quiet", "data/small/raw")
    run(folder, "dvc", "repro", "--quiet", "features")
    extra.unlink()
    run(folder, "dvc", "add", "--quiet", "data/small/raw")
    done = run(folder, "dvc", "repro", "features")
    assert "is cached - skipping run" in done.stdout
    assert outs(folder) == before
