"""fastai's `fine_tune`, as its documentation has it for pictures in files.

`ImageDataLoaders.from_df` with `Resize` and the defaults of `aug_transforms`; `vision_learner` puts
fastai's own head on the network; `fine_tune(5)` trains the head for one epoch with the rest frozen,
then everything with discriminative rates (base rate 2e-3). Batches of 64 are its default.
"""

import numpy as np
import pandas as pd
import torch
from fastai.vision.all import (
    Callback,
    ImageDataLoaders,
    Normalize,
    Resize,
    accuracy,
    aug_transforms,
    vision_learner,
)
from torch import Tensor

from bench.sets.clock import open_contest


def main() -> None:
    """Train, and judge after each epoch."""
    options, items, clock = open_contest(epochs=5)
    np.random.seed(options.seed)  # noqa: NPY002  (fastai draws from it)
    fitted = pd.DataFrame(items.of("train") + items.of("val"))
    fitted["is_valid"] = fitted["split"] == "val"
    clock.start()
    loaders = ImageDataLoaders.from_df(
        fitted,
        items.raw,
        fn_col="path",
        label_col="label",
        valid_col="is_valid",
        item_tfms=Resize(items.size),
        batch_tfms=[
            *aug_transforms(),
            Normalize.from_stats(items.facts["mean"], items.facts["std"], cuda=False),
        ],
        bs=min(64, len(items.of("train"))),
        num_workers=2,
        device=torch.device("cpu"),
    )

    class Judge(Callback):
        number = 0

        def after_epoch(self) -> None:
            self.number += 1
            clock.judge(self.number, self.answer)

        def answer(self, split: str) -> Tensor:
            batches = loaders.test_dl(pd.DataFrame(items.of(split)), num_workers=0)
            model = self.model.eval()
            with torch.no_grad():
                found = torch.cat([model(images).as_subclass(Tensor) for (images,) in batches])
            return found[:, [list(loaders.vocab).index(name) for name in items.classes]]

    learner = vision_learner(
        loaders,
        items.facts["architecture"],
        pretrained=False,
        metrics=accuracy,
        cbs=Judge(),
        path=options.data / "fastai",
    )
    learner.model[0].model.load_state_dict(items.weights())
    with learner.no_bar(), learner.no_logging():
        learner.fine_tune(options.epochs)
    clock.finish()


if __name__ == "__main__":
    main()
