"""What share of the bytes an edit writes anew, by the way that rows are put into shards.

    python -m bench.shards

Counts rows of an index, nothing is decoded: 100,000 items in 10 class folders with random names;
edits of 1 %. A shard counts as new where not all of its rows are those of an old shard: DVC stores
and pushes it again. Takes ten seconds.
"""

import random
from collections.abc import Callable, Sequence
from itertools import accumulate, pairwise

from pipeline.ground.seeds import derive
from pipeline.store.shards import shard_sizes

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


def main() -> None:
    """Print a table."""
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


if __name__ == "__main__":
    main()
