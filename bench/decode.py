"""Decode and resize: the stage `transform` against the limit of the image library on all cores.

Conditions: the 2,624 pictures of the demonstration set (PNG, gray, 300 x 300) to 224 px, files in
the page cache, the same number of processes for both, three rounds in turn, the best of each. The
limit is a loop that reads, decodes and resizes with Pillow and throws the pixels away; the stage
also starts its workers, checks the hash of every file, writes and hashes the shards, and syncs them
to disk. With --times n every picture is taken n times, so that the start weighs less. Then batches
of 32 random pictures are read from the store, and in turn the same bytes from one flat file with
one call of the kernel each.

    python -m bench.decode [--times N]
"""

import argparse
import io
import logging
import multiprocessing
import os
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from data.elpv.fetch import _package_folder
from pipeline.data.store import Store, TransformParams, write_store
from pipeline.files import sha256_file
from pipeline.parallel import MachineParams

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


def read_both(store: Store, flat: Path) -> dict[str, float]:
    """Read batches of the same random pictures from a store and from a flat file, in turn."""
    size = 3 * SIZE_PX * SIZE_PX
    with flat.open("wb") as stream:
        for start in range(0, len(store), 256):
            stream.write(store.read(np.arange(start, min(start + 256, len(store)))).data)
    batches = np.random.default_rng(0).integers(0, len(store), (300, 32))
    seconds = {"flat file": 1e9, "store": 1e9}
    descriptor = os.open(flat, os.O_RDONLY)
    for _ in range(ROUNDS):
        start = time.perf_counter()
        for rows in batches:
            out = np.empty((32, size), dtype=np.uint8)
            for place, row in enumerate(rows.tolist()):
                os.preadv(descriptor, [out[place]], row * size)
        seconds["flat file"] = min(seconds["flat file"], time.perf_counter() - start)
        start = time.perf_counter()
        for rows in batches:
            store.read(rows)
        seconds["store"] = min(seconds["store"], time.perf_counter() - start)
    os.close(descriptor)
    return {name: batches.size / each for name, each in seconds.items()}


def main() -> None:
    """Run both in turn and print pictures a second."""
    parser = argparse.ArgumentParser("python -m bench.decode")
    parser.add_argument("--times", type=int, default=1)
    times = parser.parse_args().times
    logging.disable(logging.WARNING)
    source = _package_folder()
    paths = sorted((source / "images").glob("*.png")) * times
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
        shard_rows=32,
    )
    machine = MachineParams(workers=workers, progress="none")
    best = {"pillow": 0.0, "transform": 0.0}
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder, ProcessPoolExecutor(workers, context) as pool:
        list(pool.map(pure, [paths[:8]] * workers))
        for _ in range(ROUNDS):
            start = time.perf_counter()
            sum(pool.map(pure, [paths[each::workers] for each in range(workers)]))
            best["pillow"] = max(best["pillow"], len(paths) / (time.perf_counter() - start))
            start = time.perf_counter()
            write_store(Path(folder) / "store", rows, raw=source, params=params, machine=machine)
            best["transform"] = max(best["transform"], len(paths) / (time.perf_counter() - start))
        reads = read_both(Store.open(Path(folder) / "store"), Path(folder) / "flat")
    print(f"{workers} processes, n = {len(paths)}, best of {ROUNDS}")
    for name, rate in best.items():
        print(f"{name:10} {rate:8.0f} pictures/s   {rate / best['pillow']:.2f} of pillow")
    for name, rate in reads.items():
        print(
            f"{name:10} {rate:8.0f} random reads/s   {rate / reads['flat file']:.2f} of flat file"
        )


if __name__ == "__main__":
    main()
