"""fastai's `fine_tune`, as its documentation has it for pictures.

`vision_learner` cuts the net, puts fastai's own head on it and splits it into groups; `fine_tune`
trains the head for one epoch with the rest frozen, then everything with discriminative rates, one
cycle each (docs.fast.ai, callback.schedule: base_lr 2e-3, freeze_epochs 1). Augmentation is
`aug_transforms` with vertical flips, as the documentation advises for pictures without an upside.
Batches of 64 are the default of its data loaders.
"""

from functools import partial

import numpy as np
import torch
from fastai.callback.core import Callback
from fastai.callback.schedule import Learner
from fastai.data.core import DataLoaders
from fastai.data.load import DataLoader
from fastai.losses import CrossEntropyLossFlat
from fastai.metrics import accuracy
from fastai.torch_core import TensorCategory, TensorImage
from fastai.vision.augment import aug_transforms
from fastai.vision.learner import create_head
from fasttransform import Pipeline
from torch import nn

from bench.race.clock import THREADS, Clock, Data, judge_with, race_arguments


def main() -> None:
    """Train, and judge after each epoch."""
    options = race_arguments(epochs=5).parse_args()
    torch.set_num_threads(THREADS)
    data = Data(options.data, options.fraction)
    clock = Clock(data, options.out)
    torch.manual_seed(options.seed)
    np.random.seed(options.seed)  # noqa: NPY002  (fastai draws from it)

    net = data.network()
    clock.start()
    width = net.num_features
    net.reset_classifier(0, "")
    model = nn.Sequential(net, create_head(width, 2))

    def item(row: int) -> tuple[torch.Tensor, torch.Tensor]:
        images = data.normalize(data.read(np.array([row])))[0]
        return TensorImage(images), TensorCategory(torch.tensor(int(data.labels[row])))

    class Rows(list):
        pass

    def loader(rows: np.ndarray, *, shuffle: bool) -> DataLoader:
        part = Rows(rows.tolist())
        return DataLoader(
            part,
            bs=64,
            shuffle=shuffle,
            num_workers=0,
            create_item=lambda at: item(part[at]),
            after_batch=Pipeline(aug_transforms(flip_vert=True) if shuffle else []),
        )

    loaders = DataLoaders(
        loader(data.rows["train"], shuffle=True), loader(data.rows["val"][:64], shuffle=False)
    )

    class Judge(Callback):
        number = 0

        def after_epoch(self) -> None:
            self.number += 1
            clock.judge(self.number, judge_with(self.model, data))

    learner = Learner(
        loaders,
        model,
        loss_func=CrossEntropyLossFlat(),
        metrics=accuracy,
        cbs=Judge(),
        splitter=partial(_split),
        path=options.data.parent,
    )
    with learner.no_bar(), learner.no_logging():
        learner.fine_tune(options.epochs)
    clock.finish()


def _split(model: nn.Module) -> list[list[nn.Parameter]]:
    """Return three groups, as fastai's own splitters do: lower body, upper body, head."""
    net, head = model
    lower = [*net.conv_stem.parameters(), *net.bn1.parameters(), *net.blocks[:4].parameters()]
    seen = {id(each) for each in lower}
    upper = [each for each in net.parameters() if id(each) not in seen]
    return [lower, upper, list(head.parameters())]


if __name__ == "__main__":
    main()
