"""Many items on few cores: `clean` and `transform`, and a list of tar shards.

    python -m bench.scale [--kind files|tars|texts] [--items N] [--side PX] [--members N]

A clone of the working tree; N generated items (default 100,000), and a quarter of them: JPEGs (96
px, ten classes) as loose files or in tar files, or texts of 8 to 20 words in CSV tables. `python -m
stages.clean` and `stages.transform` (64 px) are timed whole, with their start; memory is the peak
of what the stage and its workers keep for themselves (resident less shared, every 50 ms), of one
process and of all. Then N empty members (default 1,000,000; 0: none) in 20 tar files, and a label
file with a row for each: what `find_items` needs to list and join them, nothing is opened.
Generating takes most of the time: about 15 minutes on 2 cores.
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
from tests.support.many_items import write_set
from tests.support.project import clone, set_params

STAGES = ("weights", "clean", "recipe", "transform")
MEASURED = ("clean", "transform")
CLASSES, TARS, MEMBERS, WORDS = 10, 20, 10_000, 50_000
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


def draw(number: int, side: int) -> tuple[str, bytes]:
    """Return a path that does not follow the order, and a JPEG of a random texture."""
    generator = np.random.default_rng(number)
    coarse = generator.integers(0, 256, (8, 8, 3), dtype=np.uint8)
    image = Image.fromarray(coarse).resize((side, side), Image.Resampling.BILINEAR)
    stream = io.BytesIO()
    image.save(stream, "jpeg", quality=90)
    return f"class-{number % CLASSES}/{generator.integers(1 << 48):012x}.jpg", stream.getvalue()


def write_files(raw: Path, numbers: range, side: int) -> None:
    """Write loose files, in ten class folders."""
    for number in numbers:
        path, content = draw(number, side)
        (raw / path).parent.mkdir(parents=True, exist_ok=True)
        (raw / path).write_bytes(content)


def write_tars(raw: Path, numbers: range, side: int) -> None:
    """Write tar files of 10,000 members."""
    raw.mkdir(parents=True, exist_ok=True)
    for start in range(numbers.start, numbers.stop, MEMBERS):
        with tarfile.open(raw / f"{start:09}.tar", "w") as archive:
            for number in range(start, min(start + MEMBERS, numbers.stop)):
                path, content = draw(number, side)
                member = tarfile.TarInfo(path)
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))


def write_texts(raw: Path, numbers: range, side: int) -> None:
    """Write a table of texts of random words."""
    del side
    raw.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(numbers.start)
    with (raw / f"{numbers.start:09}.csv").open("w", encoding="utf-8") as table:
        table.write("text,label\n")
        for number in numbers:
            words = generator.integers(0, WORDS, generator.integers(8, 21))
            table.write(" ".join(f"w{word:x}" for word in words) + f",class-{number % CLASSES}\n")


WRITE = {"files": write_files, "tars": write_tars, "texts": write_texts}


def watch(command: list[str], folder: Path) -> tuple[float, float, float]:
    """Run a command; give its seconds, the peak memory of one process and of all, MB."""
    start, most, peak = time.monotonic(), 0.0, 0.0
    with (folder / "log").open("w") as log:
        running = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)
        while running.poll() is None:
            used = 0.0
            try:
                root = psutil.Process(running.pid)
                for process in (root, *root.children(recursive=True)):
                    memory = process.memory_info()
                    own = (memory.rss - memory.shared) / 1e6
                    most, used = max(most, own), used + own
            except psutil.Error:
                pass
            peak = max(peak, used)
            time.sleep(EVERY_S)
    if running.returncode:
        sys.exit((folder / "log").read_text()[-3000:])
    return time.monotonic() - start, most, peak


def stages(folder: Path) -> dict[str, list[str]]:
    """Return the commands of stages, as dvc.yaml has them."""
    import yaml

    raw = "data/drawn/raw"
    graph = yaml.safe_load((folder / "dvc.yaml").read_text())["stages"]
    found = {}
    for name in STAGES:
        text = graph[name]["cmd"].replace("${data.path}", raw).replace("${data.labels}", raw)
        found[name] = [sys.executable, *text.replace('"', "").split()[1:]]
    return found


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser("python -m bench.scale")
    parser.add_argument("--kind", choices=list(WRITE), default="files")
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--side", type=int, default=96)
    parser.add_argument("--members", type=int, default=1_000_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = clone(Path(name) / "project")
        set_params(
            folder,
            data={
                "path": "data/drawn/raw",
                "labels": "data/drawn/raw",
                "text": "text" if options.kind == "texts" else None,
            },
            transform={"size_px": 64},
            machine={"progress": "none"},
        )
        done = 0
        peaks: dict[str, list[float]] = {}
        print("| items | stage | seconds | items/s | peak MB, one process | all |")
        print("|---|---|---|---|---|---|")
        for count in (options.items // 4, options.items):
            WRITE[options.kind](folder / "data/drawn/raw", range(done, count), options.side)
            done = count
            for stage, command in stages(folder).items():
                if stage == "weights" and peaks:
                    continue  # they are as before
                seconds, most, peak = watch(command, folder)
                if stage not in MEASURED:
                    continue
                peaks.setdefault(stage, []).append(most)
                row = (count, stage, f"{seconds:.0f}", f"{count / seconds:.0f}", most, peak)
                print("| {} | {} | {} | {} | {:.0f} | {:.0f} |".format(*row), flush=True)
        more = options.items - options.items // 4
        for stage, (few, many) in peaks.items():
            print(f"\n{stage}: {(many - few) * 1e6 / more:.0f} bytes of one process for each item")
        if not options.members:
            return
        print("\n| members of tars, with a row each | seconds | peak MB |\n|---|---|---|")
        for count in (options.members // 4, options.members):
            raw = Path(name) / f"tars-{count}"
            write_set(raw, TARS, members=count // TARS)
            _, _, peak = watch([sys.executable, "-c", INDEX, str(raw)], folder)
            found, seconds = (folder / "log").read_text().split()
            print(f"| {found} | {float(seconds):.1f} | {peak:.0f} |", flush=True)


if __name__ == "__main__":
    main()
