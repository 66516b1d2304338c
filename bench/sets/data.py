"""The items that all contestants get, the network that they start from, and how peers read them.

Nothing here imports the pipeline: peers run it in an environment of their own.
"""

import csv
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import timm
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

Transform = Callable[[Image.Image], Tensor]

SPLITS = ("train", "val", "test")
_JUDGE_BATCH = 32


class Items:
    """What `prepare` wrote: kept items with their labels and splits, and facts of the weights.

    Args:
        folder: Of `items.csv`, `facts.json` and `backbone.safetensors`.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        text = (folder / "items.csv").read_text(encoding="utf-8")
        self.digest = hashlib.sha256(text.encode()).hexdigest()[:16]
        self.rows = list(csv.DictReader(text.splitlines()))
        self.facts: dict[str, Any] = json.loads((folder / "facts.json").read_text("utf-8"))
        self.raw = Path(self.facts["raw"])
        self.classes: list[str] = self.facts["classes"]
        self.size: int = self.facts["input_size"][-1]

    def of(self, split: str) -> list[dict[str, str]]:
        """Return path and label of the items of a split."""
        return [row for row in self.rows if row["split"] == split]

    def targets(self, split: str) -> list[int]:
        """Return their class numbers."""
        return [self.classes.index(row["label"]) for row in self.of(split)]

    def network(self) -> nn.Module:
        """Return timm's network with the pretrained weights and a new classifier."""
        model = timm.create_model(self.facts["architecture"], num_classes=0)
        model.load_state_dict(self.weights())
        model.reset_classifier(len(self.classes))
        return model

    def weights(self) -> dict[str, Tensor]:
        """Return the pretrained tensors, under timm's names, without a classifier."""
        return load_file(self.folder / "backbone.safetensors")

    def normalized(self, *before: Any) -> Transform:
        """Return these transforms, then the values that the weights expect."""
        scaled = [
            transforms.ToTensor(),
            transforms.Normalize(self.facts["mean"], self.facts["std"]),
        ]
        return transforms.Compose([*before, *scaled])


class Pictures(Dataset):
    """Pictures of a split, decoded from their files whenever they are asked for."""

    def __init__(self, items: Items, split: str, transform: Transform | None = None) -> None:
        self.paths = [items.raw / row["path"] for row in items.of(split)]
        self.targets = items.targets(split)
        self.transform = transform

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, at: int) -> tuple[Any, int]:
        with Image.open(self.paths[at]) as picture:
            image = picture.convert("RGB")
        return (self.transform(image) if self.transform else image), self.targets[at]


def outputs(model: nn.Module, items: Items, split: str, transform: Transform) -> Tensor:
    """Return what a model gives for the pictures of a split, in eval mode."""
    was_training = model.training
    model.eval()
    batches = DataLoader(Pictures(items, split, transform), batch_size=_JUDGE_BATCH)
    with torch.inference_mode():
        found = torch.cat([model(images) for images, _ in batches])
    model.train(was_training)
    return found
