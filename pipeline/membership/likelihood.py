"""How well an answer fits an item's own label: the log of its likelihood, at most 0.

Of classes it is the log of the label's probability, of values minus half the squared error in
standard deviations of the target (a normal density without its constant).

Axes: N items, K outputs; leading axes are free.
"""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from pipeline.train.examples import Targets

_TINY = 1e-300


def log_likelihood(outputs_NK: Tensor, targets_N: Tensor) -> Tensor:
    """Return the log of each item's likelihood, float64 [..., N].

    Args:
        outputs_NK: Logits, or standardized values; [..., N, K].
        targets_N: int64 class numbers, or float32 standardized values.
    """
    outputs = outputs_NK.double()
    if targets_N.is_floating_point():
        return -(outputs[..., 0] - targets_N).square() / 2
    is_own = functional.one_hot(targets_N, outputs.shape[-1]).bool()
    return outputs.log_softmax(dim=-1).masked_fill(~is_own, 0.0).sum(dim=-1)


def of_served(served_NK: np.ndarray, targets: Targets, targets_N: Tensor) -> np.ndarray:
    """Return the same of answers as they are served, float64 [N].

    Args:
        served_NK: Probabilities [N, K], or values [N, 1] in the target's own unit.
        targets: What they stand for.
        targets_N: As `Targets.encode` gives them.
    """
    served = torch.tensor(served_NK, dtype=torch.float64)
    if targets.classes:
        outputs = served.clamp(min=_TINY).log()
    else:
        outputs = (served - targets.mean) / targets.std
    found: np.ndarray = log_likelihood(outputs, targets_N).numpy()
    return found
