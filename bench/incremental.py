"""What one more percent of data costs: stage time, DVC's time, and bytes stored anew.

    python -m bench.incremental [--items N] [--views N]

A clone of this repository with N generated pictures (default 4,000; 300 px, JPEG) in ten class
folders. First a build from nothing up to `features` through `dvc repro`, then an edit after the
other, each a `dvc repro` on top of the last; `weights`, which runs the first time alone, is left
out. A stage's own time is from the first to the last sight of its process, imports included (looked
for every 50 ms until it is there, and then at it alone every 20 ms: to look at all processes more
often would take a fifth of a core); "all" is the whole of `dvc repro`, with DVC's hashing and
copying. New bytes are the growth of DVC's cache. A quarter of an hour for 20,000 on 2 cores.
"""

import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil
import yaml
from PIL import Image

STAGES = ("clean", "transform", "normalize", "features")


def make_picture(seed: int, path: Path, *, side_px: int = 300) -> None:
    """Write a smooth random texture with some noise: it compresses like a photograph."""
    generator = np.random.default_rng(seed)
    coarse = Image.fromarray(generator.integers(0, 256, (12, 12, 3), dtype=np.uint8))
    smooth = np.asarray(coarse.resize((side_px, side_px), Image.Resampling.BICUBIC))
    noise = generator.integers(-12, 13, smooth.shape)
    pixels = np.clip(smooth.astype(np.int16) + noise, 0, 255).astype(np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, quality=90)


def prepare(root: Path, views: int) -> None:
    """Clone the repository, and choose what is computed."""
    subprocess.run(["git", "clone", "--quiet", str(Path().resolve()), str(root)], check=True)
    params = yaml.safe_load((root / "params.yaml").read_text())
    params["data"].update(path="data/mine/raw", labels="data/mine/raw")
    params["features"].update(views=views, cut="none" if views == 0 else params["features"]["cut"])
    params["features"]["views"] = max(1, views)
    params["machine"]["progress"] = "none"
    (root / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))


def run(root: Path, *arguments: str) -> tuple[float, dict[str, float]]:
    """Run DVC; give its seconds, and those of each stage's process."""
    seen: dict[str, float] = {}
    environment = os.environ | {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "DVC_NO_ANALYTICS": "true",
        "PYTHONPATH": str(root),
    }
    start = time.monotonic()
    log = (root / "log.txt").open("a")
    with subprocess.Popen(
        [sys.executable, "-m", "dvc", *arguments], cwd=root, env=environment, stdout=log, stderr=log
    ) as process:
        stage = None
        while process.poll() is None:
            stage = stage or find_stage(process.pid)
            if stage is None:
                time.sleep(0.05)
                continue
            name, watched, seen_at = stage
            time.sleep(0.02)
            if not watched.is_running():
                seen[name], stage = time.monotonic() - seen_at, None
    if process.returncode:
        raise SystemExit((root / "log.txt").read_text()[-3000:])
    return time.monotonic() - start, seen


def find_stage(pid: int) -> tuple[str, psutil.Process, float] | None:
    """Return the stage that DVC runs now, its process, and the time."""
    for child in psutil.Process(pid).children(recursive=True):
        try:
            words = child.cmdline()
            if words[1:2] == ["-m"] and words[2].startswith("stages."):
                return words[2].removeprefix("stages."), child, time.monotonic()
        except psutil.Error:
            continue
    return None


def cache_bytes(root: Path) -> int:
    """Return the bytes in DVC's cache."""
    return sum(path.stat().st_size for path in (root / ".dvc/cache").rglob("*") if path.is_file())


def main() -> None:
    """Build, edit, and print a table."""
    parser = argparse.ArgumentParser("python -m bench.incremental")
    parser.add_argument("--items", type=int, default=4000)
    parser.add_argument("--views", type=int, default=8, help="0: pooled features alone")
    options = parser.parse_args()
    share = max(1, options.items // 100)
    generator = random.Random(0)

    def put(raw: Path, folders: list[str], count: int) -> None:
        for _ in range(count):
            name = f"{generator.choice(folders)}/{generator.getrandbits(48):012x}.jpg"
            make_picture(generator.getrandbits(32), raw / name)

    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "project"
        prepare(root, options.views)
        raw = root / "data/mine/raw"
        classes = [f"class-{number}" for number in range(10)]
        put(raw, classes, options.items)

        def remove(count: int) -> None:
            for path in generator.sample(sorted(raw.rglob("*.jpg")), count):
                path.unlink()

        def relabel(count: int) -> None:
            for path in generator.sample(sorted(raw.rglob("*.jpg")), count):
                shutil.move(path, raw / generator.choice(classes) / path.name)

        steps = {
            "from nothing": lambda: None,
            "+1 %, new folder in a class": lambda: put(raw, ["class-3/batch-2"], share),
            "+1 %, scattered": lambda: put(raw, classes, share),
            "-1 %, scattered": lambda: remove(share),
            "1 % moved to other classes": lambda: relabel(share),
        }
        print(f"{options.items} pictures, {options.views} views; seconds")
        print(
            "| edit | " + " | ".join(STAGES) + " | stages, share of first | all | of it DVC | "
            "new bytes, share of the cache |"
        )
        print("|---|" + "---|" * (len(STAGES) + 4))
        first, before = 0.0, 0
        for name, edit in steps.items():
            edit()
            add_s, _ = run(root, "add", "--quiet", "data/mine/raw")
            raw_bytes = cache_bytes(root) - before
            total, own = run(root, "repro", *STAGES)
            stages = sum(own.get(stage, 0.0) for stage in STAGES)
            after = cache_bytes(root)
            first = first or stages
            size = sum(
                path.stat().st_size
                for part in ("transform", "features")
                for path in (root / "artifacts" / part).rglob("*")
                if path.is_file()
            )
            new = after - before - raw_bytes
            print(
                f"| {name} | "
                + " | ".join(f"{own.get(stage, 0.0):.1f}" for stage in STAGES)
                + f" | {100 * stages / first:.1f} % | {total + add_s:.1f} | "
                f"{total - sum(own.values()):.1f} + {add_s:.1f} add | "
                f"{new / 1e6:.0f} MB, {100 * new / size:.1f} % |",
                flush=True,
            )
            before = after


if __name__ == "__main__":
    main()
