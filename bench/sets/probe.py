"""A linear probe: logistic regression on what the frozen network gives, mean-pooled.

Pictures are prepared as the weights' documentation has it: the shorter side to 256 for a network of
224 pixels (bicubic), then the center. Features are standardized. The strength of the
regularization is found by five folds of train; then the probe is fitted on train and val. The val
accuracy that is noted is of the fit on train alone.
"""

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor
from torchvision import transforms
from torchvision.transforms import InterpolationMode

from bench.sets.clock import open_contest
from bench.sets.data import SPLITS, outputs

STRENGTHS = [10.0**power for power in range(-4, 3)]
FOLDS = 5
_LEAST = 1e-12
"""Of a probability, before its logarithm is taken."""


def main() -> None:
    """Fit, and judge once."""
    options, items, clock = open_contest(epochs=1)
    clock.start()
    model = items.network()
    model.reset_classifier(0)
    transform = items.normalized(
        transforms.Resize(round(items.size / 0.875), InterpolationMode.BICUBIC),
        transforms.CenterCrop(items.size),
    )
    found = {split: outputs(model, items, split, transform).numpy() for split in SPLITS}
    targets = {split: np.array(items.targets(split)) for split in SPLITS}
    least = int(np.unique(targets["train"], return_counts=True)[1].min())
    folds = StratifiedKFold(max(2, min(FOLDS, least)), shuffle=True, random_state=options.seed)
    pipe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    search = GridSearchCV(pipe, {"logisticregression__C": STRENGTHS}, cv=folds)
    search.fit(found["train"], targets["train"])
    both = [np.concatenate([part["train"], part["val"]]) for part in (found, targets)]
    final = pipe.set_params(**search.best_params_).fit(*both)

    def predict(split: str) -> Tensor:
        fitted = search if split == "val" else final
        chances = fitted.predict_proba(found[split])
        return torch.from_numpy(np.log(np.maximum(chances, _LEAST)))

    clock.judge(1, predict)
    clock.finish()


if __name__ == "__main__":
    main()
