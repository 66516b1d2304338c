"""Many pictures on few cores: `clean` and `transform` on loose files, and the index of tar shards.

    python -m bench.scale [--pictures N] [--members N]

A clone of the working tree; N generated JPEGs (default 100,000; 96 px, ten class folders), and a
quarter of them. `python -m stages.clean` and `stages.transform` (64 px) are timed whole, with their
start; memory is the peak of what the stage and its workers keep for themselves (resident less
shared, every 50 ms). Then an index of N empty members (default 1,000,000) in 20 tar files of one
class each: what `find_items` needs to list them, nothing is opened. Generating takes most of the
time: about 15 minutes on 2 cores.
"""

import argparse
import io
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil
from PIL import Image

from bench.memory import EVERY_S
from tests.support.project import clone, set_params

CLASSES = 10
INDEX = """
import sys, time
from pathlib import Path
from pipeline.raw.items import find_items
start = time.perf_counter()
found = find_items(Path(sys.argv[1]), Path(sys.argv[1]), target="label")
print(len(found.items), time.perf_counter() - start)
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


def tars(folder: Path, members: int) -> None:
    """Write members without pictures into tar files, a class in each."""
    folder.mkdir(parents=True)
    for number in range(20):
        with tarfile.open(folder / f"shard-{number:03d}.tar", "w") as archive:
            for each in range(members // 20):
                info = tarfile.TarInfo(f"class-{number % CLASSES}/{number:03d}-{each:06d}.jpg")
                info.size = 1
                archive.addfile(info, io.BytesIO(b"x"))


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
        print("\n| members of tar files | seconds | peak MB |\n|---|---|---|")
        for count in (options.members // 4, options.members):
            raw = Path(name) / f"tars-{count}"
            tars(raw, count)
            _, peak = watch([sys.executable, "-c", INDEX, str(raw)], folder)
            found, seconds = (folder / "log").read_text().split()
            print(f"| {found} | {float(seconds):.1f} | {peak:.0f} |", flush=True)


if __name__ == "__main__":
    main()
