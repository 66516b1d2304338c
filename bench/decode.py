"""Decode and resize: the stage `transform` against the limit of the image library on all cores.

Conditions: the 2,624 pictures of the demonstration set (PNG, gray, 300 x 300) to 224 px, files in
the page cache, the same number of processes for both, three rounds in turn, the best of each. The
limit is a loop that reads, decodes and resizes with Pillow and throws the pixels away; the stage
also starts its workers, checks the hash of every file, writes and hashes the shards, and syncs them
to disk. The last store is removed before the clock runs, as DVC does. With --times n every picture
is taken n times, so that the start weighs less. Then batches of 32 random pictures are read from
the store, and in turn the same bytes from flat files with one call of the kernel each. With --jpeg
n the same on n generated pictures instead: JPEG, color, 300 x 300 or --side, which have the fine
detail of photographs.

    python -m bench.decode [--times N | --jpeg N [--side PX]]
"""

import argparse
import io
import logging
import multiprocessing
import os
import shutil
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from bench.incremental import make_picture
from data.elpv.fetch import _package_folder
from pipeline.compute.engine import MachineParams
from pipeline.ground.files import sha256_file
from pipeline.picture.shelf.params import TransformParams
from pipeline.store.encoded_shard import Encoding
from pipeline.store.store import Store
from pipeline.store.writer import write_store

SIZE_PX = 224
ROUNDS = 3


def pure(paths: list[Path]) -> int:
    """Read, decode and resize with Pillow alone."""
    done = 0
    for path in paths:
        image = Image.open(io.BytesIO(path.read_bytes()))
        image.load()
        image.resize((SIZE_PX, SIZE_PX), Image.Resampling.BILINEAR)
        done += 1
    return done


def read_all(store: Store, folder: Path) -> dict[str, float]:
    """Read batches of the same random pictures from a store and from flat files, in turn.

    The kernel keeps a file in larger or smaller blocks by how it was written, and copies from
    larger ones faster; so there is a flat file of each kind.
    """
    size, numbers = 3 * SIZE_PX * SIZE_PX, np.arange(len(store))
    files = {}
    for name, count in (("flat, written row by row", 1), ("flat, 256 rows at once", 256)):
        files[name] = folder / f"flat-{count}"
        with files[name].open("wb", buffering=0) as stream:
            for start in range(0, len(store), count):
                stream.write(store.read(numbers[start : start + count]).data)
    batches = np.random.default_rng(0).integers(0, len(store), (300, 32))
    seconds = dict.fromkeys((*files, "store"), 1e9)
    for _ in range(ROUNDS):
        for name, file in files.items():
            descriptor = os.open(file, os.O_RDONLY)
            start_s = time.perf_counter()
            for rows in batches:
                out = np.empty((32, size), dtype=np.uint8)
                for place, row in enumerate(rows.tolist()):
                    os.preadv(descriptor, [out[place]], row * size)
            seconds[name] = min(seconds[name], time.perf_counter() - start_s)
            os.close(descriptor)
        start_s = time.perf_counter()
        for rows in batches:
            store.read(rows)
        seconds["store"] = min(seconds["store"], time.perf_counter() - start_s)
    return {name: batches.size / each for name, each in seconds.items()}


def main() -> None:
    """Choose the pictures."""
    parser = argparse.ArgumentParser("python -m bench.decode")
    parser.add_argument("--times", type=int, default=1)
    parser.add_argument("--jpeg", type=int, default=0)
    parser.add_argument("--side", type=int, default=300)
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    with tempfile.TemporaryDirectory() as name:
        source, paths = Path(name), [Path(name) / f"{each}.jpg" for each in range(options.jpeg)]
        for seed, path in enumerate(paths):
            make_picture(seed, path, side_px=options.side)
        if not paths:
            source = _package_folder()
            paths = sorted((source / "images").glob("*.png")) * options.times
        measure(source, paths)


def measure(source: Path, paths: list[Path]) -> None:
    """Run both in turn and print pictures a second."""
    workers = len(os.sched_getaffinity(0))
    rows = pd.DataFrame(
        {
            "path": [path.relative_to(source).as_posix() for path in paths],
            "id": [sha256_file(path) for path in paths],
            "label": "x",
            "split": "train",
            "group": None,
            "weight": 1.0,
        }
    )
    params = TransformParams(
        size_px=SIZE_PX,
        resize="squash",
        interpolation="bilinear",
        background=(0, 0, 0),
        white16=65535,
        shard_rows=32,
    )
    encoding = Encoding("picture", params.spec(), params.shard_rows)
    machine = MachineParams.alone(workers=workers, progress="none")
    best = {"pillow": 0.0, "transform": 0.0}
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder, ProcessPoolExecutor(workers, context) as pool:
        list(pool.map(pure, [paths[:8]] * workers))
        for _ in range(ROUNDS):
            start = time.perf_counter()
            sum(pool.map(pure, [paths[each::workers] for each in range(workers)]))
            best["pillow"] = max(best["pillow"], len(paths) / (time.perf_counter() - start))
            shutil.rmtree(Path(folder) / "store", ignore_errors=True)
            start = time.perf_counter()
            write_store(Path(folder) / "store", rows, encoding, raw=source, machine=machine)
            best["transform"] = max(best["transform"], len(paths) / (time.perf_counter() - start))
        reads = read_all(Store.open(Path(folder) / "store"), Path(folder))
    print(f"{workers} processes, n = {len(paths)}, best of {ROUNDS}")
    for name, rate in best.items():
        print(f"{name:10} {rate:8.0f} pictures/s   {rate / best['pillow']:.2f} of pillow")
    for name, rate in reads.items():
        told = f"store is {reads['store'] / rate:.2f} of it"
        print(f"{name:24} {rate:8.0f} random reads/s   {told}")


if __name__ == "__main__":
    main()
