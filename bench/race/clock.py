"""What every contestant is timed with, and the pictures and the judge that all share.

A contestant runs in a process of its own, in the peers' environment or in ours, so nothing here
imports the pipeline. Time spent in judging is not counted.
"""

import argparse
import ctypes
import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

Predict = Callable[[np.ndarray], Tensor]

THREADS = 2
JUDGE_BATCH = 64


def race_arguments(*, epochs: int | None) -> argparse.ArgumentParser:
    """Return the command line that all contestants have; they may add to it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=epochs)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--fraction", type=float, default=1.0)
    return parser


class Data:
    """The pictures that all contestants get: uint8 [N, 3, H, W], class numbers, splits.

    Args:
        folder: What `export` wrote.
        fraction: Of the train split, 0..1; the first ones by the hash of an item, class by class.
    """

    def __init__(self, folder: Path, fraction: float = 1.0) -> None:
        self.folder = folder
        self.images = np.load(folder / "images.npy", mmap_mode="r")
        self.labels = np.load(folder / "labels.npy")
        facts = json.loads((folder / "facts.json").read_text(encoding="utf-8"))
        self.facts = facts
        self.rows = {name: np.array(rows) for name, rows in facts["splits"].items()}
        order = np.array(facts["train_order"])
        kept = [
            rows[: max(2, round(len(rows) * fraction))]
            for rows in (order[self.labels[order] == each] for each in range(2))
        ]
        self.rows["train"] = np.sort(np.concatenate(kept))

    def read(self, rows: np.ndarray) -> Tensor:
        """Return pictures, uint8."""
        return torch.from_numpy(np.ascontiguousarray(self.images[rows]))

    def normalize(self, images: Tensor) -> Tensor:
        """Return float32 on the scale that the weights were trained with."""
        mean, std = (torch.tensor(self.facts[name]).view(-1, 1, 1) for name in ("mean", "std"))
        return (images.float() * self.facts["scale"] - mean) / std

    def network(self, *, pretrained: bool = True) -> nn.Module:
        """Return timm's network with a new classifier of two outputs."""
        import timm

        model = timm.create_model(self.facts["architecture"], num_classes=0)
        if pretrained:
            model.load_state_dict(load_file(self.folder / "backbone.safetensors"))
        model.reset_classifier(2)
        return model


class Clock:
    """Counts a contestant's seconds, and writes down what it is worth after each epoch."""

    def __init__(self, data: Data, out: Path) -> None:
        self._data, self._out = data, out
        self._scratch = out.with_suffix(".part")
        self._lines: list[dict[str, float]] = []
        self._spent = np.zeros(2)
        self._since: np.ndarray | None = None

    def start(self) -> None:
        """Go on counting."""
        self._since = _now()

    def stop(self) -> None:
        """Stop counting."""
        self._spent += _now() - self._since
        self._since = None

    def judge(self, epoch: int, predict: Predict, **facts: float) -> None:
        """Note accuracy and loss on val and test, off the clock.

        Args:
            epoch: From 1; 0 before training.
            predict: Rows of the data to logits [N, 2].
            facts: Also noted.
        """
        self.stop()
        line: dict[str, float] = {
            "epoch": epoch,
            "seconds": self._spent[0],
            "cpu_seconds": self._spent[1],
            **facts,
        }
        for name in ("val", "test"):
            rows = self._data.rows[name]
            targets = torch.from_numpy(self._data.labels[rows])
            logits = predict(rows).float()
            line[f"{name}_accuracy"] = float((logits.argmax(1) == targets).float().mean())
            line[f"{name}_loss"] = float(nn.functional.cross_entropy(logits, targets))
        line["train_items"] = len(self._data.rows["train"])
        self._lines.append(line)
        print(json.dumps({k: round(v, 4) for k, v in line.items()}), flush=True)
        self.start()

    def finish(self) -> None:
        """Write the file, whole."""
        text = "".join(json.dumps(line) + "\n" for line in self._lines)
        self._scratch.write_text(text, encoding="utf-8")
        os.replace(self._scratch, self._out)  # noqa: PTH105


def judge_with(model: nn.Module, data: Data) -> Predict:
    """Return a function from rows to logits, by a model on normalized pictures, in eval mode.

    In bfloat16, as ours are judged; it takes a third of the time.
    """

    def predict(rows: np.ndarray) -> Tensor:
        was_training = model.training
        model.eval()
        with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
            parts = np.array_split(rows, max(1, len(rows) // JUDGE_BATCH))
            outputs = torch.cat([model(data.normalize(data.read(part))) for part in parts])
        model.train(was_training)
        return outputs

    return predict


def keep_freed_memory() -> None:
    """Have glibc keep large blocks that were freed; see pipeline/compute/device.py."""
    libc = ctypes.CDLL(None)
    libc.mallopt(-4, 0)
    libc.mallopt(-1, 2**31 - 1)


def _now() -> np.ndarray:
    return np.array([time.perf_counter(), time.process_time()])
