"""Maps on several machines, and training by several ranks, in one table: `python -m bench.engine`.

Two cores cannot show: the speed of several machines, since they share the cores (so the items of
the scaling rows sleep); networks, and shared file systems; GPUs.
"""

import argparse
import logging
import os
from collections.abc import Iterator

from bench.engine import ranks
from bench.engine.maps import rates, scaling


def main() -> None:
    """Print a row after the other."""
    parser = argparse.ArgumentParser("python -m bench.engine")
    parser.add_argument("--pictures", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--rows", type=int, nargs="*", default=[32, 8, 256], help="of a task")
    parser.add_argument("--machines", type=int, nargs="*", default=[1, 2, 4, 8])
    parser.add_argument("--without-ranks", action="store_true")
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    print(__doc__)
    for row in rows(options):
        print(f"{row} | load {os.getloadavg()[0]:.0f}", flush=True)


def rows(options: argparse.Namespace) -> Iterator[str]:
    """Yield what is asked for."""
    if options.machines:
        yield from scaling(options.machines)
    if options.rows:
        yield from rates(options.pictures, options.rounds, options.rows)
    if not options.without_ranks:
        yield from (" | ".join(row) for row in ranks.rows())


if __name__ == "__main__":
    main()
