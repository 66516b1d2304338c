"""Memory of each stage with n and with 4 n pictures: it must not grow with their number.

Conditions: a clone of the working tree, n and 4 n drawn pictures of 128 px in two class folders,
the default params but two epochs; `dvc repro evaluate`. Counted is what a stage's processes keep
for themselves (resident less shared, of the stage and its workers together, every 50 ms): pages of
memory-mapped files are the kernel's to take back.

    python -m bench.memory [n]
"""

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil
from PIL import Image

from tests.support.project import clone, commit, run, set_params

PICTURES, TIMES, SIDE_PX = 500, 4, 128
EVERY_S = 0.05
STAGES = ("clean", "transform", "normalize", "features", "train", "evaluate")


def draw(folder: Path, items: int) -> None:
    """Write pictures whose class can be seen, in two class folders."""
    generator = np.random.default_rng(1)
    for number in range(items):
        name = ("dark", "light")[number % 2]
        values = generator.integers(0, 180, (SIDE_PX, SIDE_PX, 3)) + 75 * (number % 2)
        path = folder / name / f"{number:06d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(values.astype(np.uint8)).save(path, quality=90)


def measure(folder: Path, items: int) -> dict[str, float]:
    """Run the pipeline on so many pictures; give each stage's peak, MB."""
    clone(folder)
    draw(folder / "data/drawn/raw", items)
    set_params(
        folder,
        data={"path": "data/drawn/raw", "labels": "data/drawn/raw"},
        train={"epochs": 2},
        registry={"name": "drawn"},
    )
    run(folder, "dvc", "add", "--quiet", "data/drawn/raw")
    commit(folder, "data: drawn")
    peaks: dict[str, float] = {}
    command = [str(Path(sys.executable).with_name("dvc")), "repro", "evaluate"]
    with (folder / "log").open("w") as log:
        running = subprocess.Popen(command, cwd=folder, stdout=log, stderr=subprocess.STDOUT)
        while running.poll() is None:
            for name, used in _by_stage(running.pid).items():
                peaks[name] = max(peaks.get(name, 0.0), used)
            time.sleep(EVERY_S)
    if running.returncode:
        sys.exit((folder / "log").read_text())
    return peaks


def _by_stage(root: int) -> dict[str, float]:
    """Return what each running stage and its workers keep for themselves, MB."""
    found: dict[str, float] = {}

    def add(process: psutil.Process, stage: str | None) -> None:
        words = [word for word in process.cmdline() if word.startswith("stages.")]
        stage = words[0].removeprefix("stages.") if words else stage
        if stage is not None:
            memory = process.memory_info()
            found[stage] = found.get(stage, 0.0) + (memory.rss - memory.shared) / 1e6
        for child in process.children():
            with contextlib.suppress(psutil.Error):
                add(child, stage)

    with contextlib.suppress(psutil.Error):
        add(psutil.Process(root), None)
    return found


def main() -> None:
    """Print the peaks of both runs."""
    items = int(sys.argv[1]) if len(sys.argv) > 1 else PICTURES
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    peaks = []
    for count in (items, TIMES * items):
        with tempfile.TemporaryDirectory() as folder:
            peaks.append(measure(Path(folder) / "project", count))
    print(f"{'stage':10} {items:>8} {TIMES * items:>8} pictures")
    for name in STAGES:
        few, many = (each[name] for each in peaks)
        print(f"{name:10} {few:8.0f} {many:8.0f} MB   {many / few:.2f}")


if __name__ == "__main__":
    main()
