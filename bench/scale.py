"""Many pictures on few cores: `clean` and `transform` on loose files, and a list of tar shards.

    python -m bench.scale [--pictures N] [--members N]

A clone of the working tree; N generated JPEGs (default 100,000; 96 px, ten class folders), and a
quarter of them. `python -m stages.clean` and `stages.transform` (64 px) are timed whole, with their
start; memory is the peak of what the stage and its workers keep for themselves (resident less
shared, every 50 ms). Then N empty members (default 1,000,000) in 20 tar files, and a label file
with a row for each: what `find_items` needs to list and join them, nothing is opened. Generating
takes most of the time: about 15 minutes on 2 cores.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil
from PIL import Image

from bench.memory import EVERY_S
from tests.support.many_items import write_set
from tests.support.project import clone, set_params

CLASSES, TARS = 10, 20
INDEX = """
import sys, time
from pathlib import Path
from pipeline.raw.items import find_items
from pipeline.store.spill import Spill
start, raw = time.perf_counter(), Path(sys.argv[1])
with Spill(Path()) as spill:
    print(len(find_items(raw, raw, target="label", place=spill).items), end=" ")
print(time.perf_counter() - start)
"""


def draw(folder: Path, first: int, last: int) -> None:
    """Write pictures: a random texture each, under names that do not follow their order."""
    for number in range(first, last):
        generator = np.random.default_rng(number)
        coarse = generator.integers(0, 256, (8, 8, 3), dtype=np.uint8)
        image = Image.fromarray(coarse).resize((96, 96), Image.Resampling.BILINEAR)
        path = folder / f"class-{number % CLASSES}" / f"{generator.integers(1 << 48):012x}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        image.save(path, quality=90)


def watch(command: list[str], folder: Path) -> tuple[float, float]:
    """Run a command; give its seconds and the peak memory of all its processes, MB."""
    start, peak = time.monotonic(), 0.0
    with (folder / "log").open("w") as log:
        running = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)
        while running.poll() is None:
            used = 0.0
            try:
                root = psutil.Process(running.pid)
                for process in (root, *root.children(recursive=True)):
                    memory = process.memory_info()
                    used += (memory.rss - memory.shared) / 1e6
            except psutil.Error:
                pass
            peak = max(peak, used)
            time.sleep(EVERY_S)
    if running.returncode:
        sys.exit((folder / "log").read_text()[-3000:])
    return time.monotonic() - start, peak


def stages(folder: Path) -> dict[str, list[str]]:
    """Return the commands of two stages, as dvc.yaml has them."""
    import yaml

    raw = "data/drawn/raw"
    graph = yaml.safe_load((folder / "dvc.yaml").read_text())["stages"]
    found = {}
    for name in ("clean", "transform"):
        text = graph[name]["cmd"].replace("${data.path}", raw).replace("${data.labels}", raw)
        found[name] = [sys.executable, *text.replace('"', "").split()[1:]]
    return found


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser("python -m bench.scale")
    parser.add_argument("--pictures", type=int, default=100_000)
    parser.add_argument("--members", type=int, default=1_000_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = clone(Path(name) / "project")
        set_params(
            folder,
            data={"path": "data/drawn/raw", "labels": "data/drawn/raw"},
            transform={"size_px": 64},
            machine={"progress": "none"},
        )
        done = 0
        peaks: dict[str, list[float]] = {}
        print("| pictures | stage | seconds | pictures/s | peak MB |\n|---|---|---|---|---|")
        for count in (options.pictures // 4, options.pictures):
            draw(folder / "data/drawn/raw", done, count)
            done = count
            for stage, command in stages(folder).items():
                seconds, peak = watch(command, folder)
                peaks.setdefault(stage, []).append(peak)
                print(
                    f"| {count} | {stage} | {seconds:.0f} | {count / seconds:.0f} | {peak:.0f} |",
                    flush=True,
                )
        more = options.pictures - options.pictures // 4
        for stage, (few, many) in peaks.items():
            print(f"\n{stage}: {(many - few) * 1e6 / more:.0f} bytes for each further picture")
        print("\n| members of tars, with a row each | seconds | peak MB |\n|---|---|---|")
        for count in (options.members // 4, options.members):
            raw = Path(name) / f"tars-{count}"
            write_set(raw, TARS, members=count // TARS)
            _, peak = watch([sys.executable, "-c", INDEX, str(raw)], folder)
            found, seconds = (folder / "log").read_text().split()
            print(f"| {found} | {float(seconds):.1f} | {peak:.0f} |", flush=True)


if __name__ == "__main__":
    main()
