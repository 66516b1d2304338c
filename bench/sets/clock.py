"""What every contestant is timed and judged with.

A contestant runs in a process of its own, in the peers' environment or in ours, so nothing here
imports the pipeline. Time spent in judging is not counted.
"""

import argparse
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from bench.sets.data import Items

Predict = Callable[[str], Tensor]
"""From the name of a split to logits, or logarithms of probabilities: [N, K]."""

THREADS = 2


def open_contest(*, epochs: int) -> tuple[argparse.Namespace, Items, "Clock"]:
    """Read the command line that all contestants have, and hold them to the same threads and seed.

    Args:
        epochs: What `--epochs` is by default.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, required=True, help="what `prepare` wrote")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--epochs", type=int, default=epochs)
    parser.add_argument("--strategy", choices=["default", "head"], default="default")
    options = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:THREADS])
    torch.set_num_threads(THREADS)
    torch.manual_seed(options.seed)
    items = Items(options.data)
    return options, items, Clock(items, options.out)


class Clock:
    """Counts a contestant's seconds, and writes down what it is worth after each epoch."""

    def __init__(self, items: Items, out: Path) -> None:
        self._items, self._out = items, out
        self._lines: list[dict[str, Any]] = []
        self._right: list[np.ndarray] = []
        self._spent, self._since = 0.0, 0.0

    def start(self) -> None:
        """Go on counting."""
        self._since = time.perf_counter()

    def judge(self, epoch: int, predict: Predict) -> None:
        """Note accuracy and loss on val and test, off the clock."""
        self._spent += time.perf_counter() - self._since
        line: dict[str, Any] = {"epoch": epoch, "seconds": round(self._spent, 3)}
        for split in ("val", "test"):
            targets = torch.tensor(self._items.targets(split))
            logits = predict(split).float()
            right = (logits.argmax(1) == targets).numpy()
            line[f"{split}_items"] = len(targets)
            line[f"{split}_accuracy"] = round(float(right.mean()), 6)
            line[f"{split}_loss"] = round(float(nn.functional.cross_entropy(logits, targets)), 6)
        self._right.append(right)
        self._lines.append(line)
        print(json.dumps(line), flush=True)
        self.start()

    def finish(self) -> None:
        """Write the file, whole; of epochs, the one with the lowest validation loss is kept.

        Its line also holds `right`: which test items it got right, as bits, in the order of
        items.csv, and `items`: the digest of that list. By these, contestants are compared item by
        item.
        """
        losses = [line["val_loss"] for line in self._lines]
        kept = losses.index(min(losses))
        bits = np.packbits(self._right[kept]).tobytes().hex()
        self._lines[kept] |= {"kept": True, "items": self._items.digest, "right": bits}
        text = "".join(json.dumps(line) + "\n" for line in self._lines)
        scratch = self._out.with_suffix(".part")
        scratch.write_text(text, encoding="utf-8")
        os.replace(scratch, self._out)  # noqa: PTH105
