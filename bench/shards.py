"""What share of the bytes an edit writes anew, by the way that rows are put into shards; opening.

    python -m bench.shards

Counts rows of an index, nothing is decoded: 100,000 items in 10 class folders with random names;
edits of 1 %. A shard counts as new where not all of its rows are those of an old shard: DVC stores
and pushes it again. Then shards are written, 5,000 of two rows and 64 of 8 MB: seconds to open
them, and to read a first batch of 32 rows, each of another shard. Takes a minute.
"""

import random
import tempfile
import time
from collections.abc import Callable, Sequence
from itertools import accumulate, pairwise
from pathlib import Path

import numpy as np

from pipeline.ground.seeds import derive
from pipeline.store.shard_writer import write_shard
from pipeline.store.shards import Layout, shard_sizes
from pipeline.store.shards import Shards as Opened

ITEMS = 100_000
EDIT = ITEMS // 100
Shards = list[tuple[str, ...]]


def cut(paths: Sequence[str], sizes: Sequence[int]) -> Shards:
    """Cut a sequence into pieces of the given lengths."""
    return [tuple(paths[start:end]) for start, end in pairwise([0, *accumulate(sizes)])]


def fixed(paths: list[str], rows: int) -> Shards:
    """Every so many rows, in the order of the paths."""
    return cut(paths, [min(rows, len(paths) - start) for start in range(0, len(paths), rows)])


def buckets(paths: list[str], rows: int) -> Shards:
    """By the first bits of a hash of the path; as many bits as the number of items asks for."""
    bits = max(0, (len(paths) - 1) // rows).bit_length()
    found: dict[int, list[str]] = {}
    for path in paths:
        found.setdefault(derive(0, path) >> (63 - bits), []).append(path)
    return [tuple(each) for each in found.values()]


def by_content(paths: list[str], rows: int) -> Shards:
    """What the store does."""
    return cut(paths, shard_sizes(paths, rows))


def opening(folder: Path, shards: int, rows: int, row_bytes: int) -> None:
    """Print how long a store of so many shards takes to its first batch."""
    layout = Layout("shard", (row_bytes,), np.dtype(np.uint8), "")
    row, files = [np.zeros(row_bytes, np.uint8)], []
    for number in range(shards):
        (sha256,) = write_shard(folder, [layout], number, [row] * rows, count=rows)
        files.append({"file": layout.file(number), "rows": rows, "sha256": sha256})
    start = time.perf_counter()
    opened = Opened.open(folder, layout, files)
    middle = time.perf_counter()
    opened.read(np.arange(32) * rows)
    end = time.perf_counter()
    gigabytes = shards * rows * row_bytes / 1e9
    print(f"| {shards} | {gigabytes:.2f} | {middle - start:.3f} | {end - middle:.3f} |", flush=True)


def main() -> None:
    """Print both tables."""
    generator = random.Random(0)

    def names(folders: Sequence[str], count: int) -> list[str]:
        return [
            f"{generator.choice(folders)}/{generator.getrandbits(48):012x}.jpg"
            for _ in range(count)
        ]

    classes = [f"class-{number}" for number in range(10)]
    base = names(classes, ITEMS)
    gone = set(generator.sample(base, EDIT))
    edits = {
        "1 % in a new folder": [*base, *names(["batch-2"], EDIT)],
        "1 % scattered": [*base, *names(classes, EDIT)],
        "1 % removed": [path for path in base if path not in gone],
        "10 scattered": [*base, *names(classes, 10)],
    }
    ways: list[tuple[str, Callable[[list[str], int], Shards], int]] = [
        ("fixed", fixed, 1024),
        ("fixed", fixed, 32),
        ("hash buckets", buckets, 32),
        *(("by content", by_content, rows) for rows in (8, 16, 32, 64, 128, 1024)),
    ]
    print("| shards | mean rows | files | " + " | ".join(edits) + " |")
    print("|---|---|---|" + "---|" * len(edits))
    for name, way, rows in ways:
        old = way(sorted(base), rows)
        known = set(old)
        shares = []
        for paths in edits.values():
            new = way(sorted(paths), rows)
            share = sum(len(each) for each in new if each not in known) / len(paths)
            shares.append(f"{100 * share:.1f} %")
        print(f"| {name} | {rows} | {len(old)} | " + " | ".join(shares) + " |", flush=True)
    print("\n| shards | GB | seconds to open | to the first batch |\n|---|---|---|---|")
    for shards, in_each, row_bytes in ((5_000, 2, 4), (64, 32, 1 << 18)):
        with tempfile.TemporaryDirectory() as name:
            opening(Path(name), shards, in_each, row_bytes)


if __name__ == "__main__":
    main()
