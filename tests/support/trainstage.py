"""The stage `train` as a process, in a folder of its own; it can be killed and started again."""

import json
import logging
import os
import signal
import subprocess
import sys
import time

import yaml

from pipeline.ground.files import write_json
from pipeline.ground.params import SECTIONS as KNOWN
from pipeline.ground.stage import run_stage
from stages.train import main
from tests.support.closure import ROOT
from tests.support.trainable import SECTIONS

OUTS = ("model", "bundle", "history", "kept")
PARAMS = {
    "task": "classification",
    "data": {"path": "raw", "labels": "raw", "target": "label", "layout": "auto"},
    **SECTIONS,
    "machine": {"workers": 1, "progress": "lines", "engine": "local", "ranks": 1},
}
GRAPH = {
    "train": {
        "deps": ["features", "store"],
        "params": ["task", "train", "optim", "schedule", "loss", "augment", "runtime"],
    }
}
LOCK = {
    "features": {"outs": [{"path": name, "md5": f"{name}.dir"} for name in ("features", "store")]}
}


def workspace(folder, **changes):
    """Make a folder in which `python -m stages.train` runs."""
    folder.mkdir()
    params = {
        name: {**value, **changes.get(name, {})} if isinstance(value, dict) else value
        for name, value in PARAMS.items()
    }
    assert set(params) <= set(KNOWN)
    for name, content in (
        ("params.yaml", params),
        ("dvc.yaml", {"stages": GRAPH}),
        ("dvc.lock", {"schema": "2.0", "stages": LOCK}),
    ):
        (folder / name).write_text(yaml.safe_dump(content), encoding="utf-8")
    write_json(folder / "recipe.json", {"choices": {}})
    return folder


def edit_params(folder, **changes):
    """Change values of some sections of the params of a folder, and give the folder."""
    path = folder / "params.yaml"
    params = yaml.safe_load(path.read_text(encoding="utf-8"))
    for section, values in changes.items():
        params[section] |= values
    path.write_text(yaml.safe_dump(params), encoding="utf-8")
    return folder


def options(sources) -> list[str]:
    paths = {name: getattr(sources, name) for name in sources.__dataclass_fields__}
    paths |= {name: f"out/{name}" for name in OUTS} | {"recipe": "recipe.json"}
    return [word for name, path in paths.items() for word in (f"--{name}", str(path))]


def start(folder, sources) -> subprocess.Popen:
    """Start the stage as DVC would; its messages go to `errors.txt`."""
    command = [sys.executable, "-W", "ignore", "-m", "stages.train", *options(sources)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "ROOTSTOCK_FOLLOW": "0"}
    with (folder / "errors.txt").open("w") as errors:
        return subprocess.Popen(command, cwd=folder, stderr=errors, env=environment)


def messages(folder) -> list[str]:
    return (folder / "errors.txt").read_text(encoding="utf-8").splitlines()


def finish(folder, sources) -> None:
    assert start(folder, sources).wait(timeout=300) == 0, messages(folder)


def here(folder, sources, monkeypatch) -> int:
    """Run the stage in this process; give its exit code."""
    monkeypatch.chdir(folder)
    monkeypatch.setenv("ROOTSTOCK_FOLLOW", "0")
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    try:
        return run_stage(main, options(sources), settled=True)
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)


def journal(folder) -> list[dict]:
    paths = list((folder / ".rootstock/journals").glob("*.jsonl"))
    return [json.loads(line) for path in paths for line in path.read_text().splitlines()]


def epochs(folder) -> int:
    """Count the epochs that are noted, over all attempts."""
    paths = (folder / ".rootstock/journals").glob("*.jsonl")
    return sum(path.read_text().count('"kind":"epoch"') for path in paths)


def outputs(folder) -> dict[str, bytes]:
    return {name: (folder / "out" / name).read_bytes() for name in OUTS}


def kill_after(folder, sources, *, more_epochs, delay_s, how=signal.SIGKILL) -> subprocess.Popen:
    """Start the stage and kill it a moment after it noted some more epochs."""
    wanted = epochs(folder) + more_epochs
    process = start(folder, sources)
    while epochs(folder) < wanted:
        assert process.poll() is None, messages(folder)
        time.sleep(0.002)
    time.sleep(delay_s)
    process.send_signal(how)
    process.wait(timeout=60)
    return process
