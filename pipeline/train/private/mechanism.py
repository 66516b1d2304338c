"""What a private training tells of its data: noisy sums over sampled units, and nothing else.

Source: DP-SGD, Abadi et al. (2016); sampling is Poisson's, each unit by itself.

Axes: N items of train, U units, B items of a batch, D features.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pipeline.ground.errors import ParamsError
from pipeline.train.params import PrivacyParams
from pipeline.train.plan import Recipe
from pipeline.train.private.accounting import Release, find_multiplier
from pipeline.train.private.gradients import clipped_sums
from pipeline.train.private.randomness import Words, normals, system_words, uniforms
from pipeline.train.recipe.optim import clip_gradients
from pipeline.train.step import Batch, Learner, Method, count_batches

Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Mechanism:
    """How a training keeps to its budget.

    Attributes:
        params: The budget.
        units_N: Number of the unit that each item of train belongs to, in [0, U).
        steps: Of the whole training.
        rate: Share of the units that a step is of, in (0, 1].
        multiplier: Standard deviation of a step's noise over `params.clip`.
        center: That of the noise of the features' mean; None: the mean is not measured.
        words: Where noise and samples come from.
    """

    params: PrivacyParams
    units_N: Numbers
    steps: int
    rate: float
    multiplier: float
    center: float | None
    words: Words

    @property
    def units(self) -> int:
        """U."""
        return int(self.units_N.max()) + 1

    def method(self) -> Method:
        """Return how an epoch is trained."""
        return Method(self._sample, self._step, tells_loss=False)

    def releases(self) -> list[Release]:
        """Return all that is told of the data."""
        center = [] if self.center is None else [Release(self.center, 1.0, 1)]
        return [Release(self.multiplier, self.rate, self.steps), *center]

    def facts(self) -> dict[str, Any]:
        """Return what is promised, and all that decides it: JSON."""
        return {
            "epsilon": self.params.epsilon,
            "delta": self.params.delta,
            "unit": self.params.unit,
            "units": self.units,
            "clip": self.params.clip,
            "releases": [each._asdict() for each in self.releases()],
            "neighbors": "one unit more or less in train",
            "public": ["the number of items and units in train", "the names of the classes"],
        }

    def mean(self, rows_ND: Tensor) -> Tensor:
        """Return the mean over units of the mean row of each, with noise: float32 [D].

        Args:
            rows_ND: No longer than 1 each; in the order of `units_N`.
        """
        if self.center is None:
            raise ValueError("no budget was set apart for the mean")
        units_N = torch.from_numpy(self.units_N)
        counts_U = torch.bincount(units_N, minlength=self.units).double()
        total_D = (rows_ND.double() / counts_U[units_N, None]).sum(dim=0)
        noise_D = self.center * torch.from_numpy(normals(self.words, len(total_D)))
        return ((total_D + noise_D) / self.units).float()

    def _sample(self, order: np.ndarray, recipe: Recipe) -> list[np.ndarray]:
        """Draw the items of each step of an epoch; the order, which a seed decides, plays no part.

        A unit is in a step or not, whatever the others are; a step may be empty.
        """
        steps = count_batches(len(order), recipe.train.batch_size)
        drawn = [uniforms(self.words, self.units) <= self.rate for _ in range(steps)]
        return [np.flatnonzero(each[self.units_N]) for each in drawn]

    def _step(self, learner: Learner, batch: Batch, recipe: Recipe) -> Tensor:
        """Take a step along the noisy mean of clipped gradients, in units of the clip.

        What it is divided by is the expected number of units, which is public, not the drawn one.
        """
        clip, expected = self.params.clip, self.units * self.rate
        units_B = np.unique(self.units_N[batch.items], return_inverse=True)[1]
        parameters = [each for each in learner.model.parameters() if each.requires_grad]
        learner.optimizer.zero_grad(set_to_none=True)
        sums = clipped_sums(learner, batch, torch.from_numpy(units_B), clip=clip)
        for parameter, total in zip(parameters, sums, strict=True):
            noise = normals(self.words, total.numel()).reshape(total.shape)
            noisy = total.double().cpu() / clip + self.multiplier * torch.from_numpy(noise)
            parameter.grad = (noisy / expected).to(parameter)
        clip_gradients(parameters, recipe.optim.clip_norm)
        learner.optimizer.step()
        return torch.zeros(2)


def find_mechanism(
    params: PrivacyParams, recipe: Recipe, units_N: Numbers, *, words: Words = system_words
) -> Mechanism:
    """Find the noise with which a training keeps to its budget.

    The mean of the features gets its share of the budget first: the one release with that share of
    the precision (1 / noise^2) that a single release of the whole budget has.

    Args:
        params: The budget.
        recipe: Settled.
        units_N: Number of the unit that each item of train belongs to, from 0.
        words: Where noise and samples come from.

    Raises:
        MachineError: The accountant is not installed.
        ParamsError: Delta is too large for so many units, or no noise is enough.
    """
    units = int(units_N.max()) + 1
    if params.delta >= 1 / units:
        raise ParamsError(
            "params.yaml",
            f"must be below 1 / {units}, one over the units of train",
            field="train.privacy.delta",
            got=params.delta,
        )
    epsilon, delta = params.epsilon, params.delta
    in_epoch = count_batches(len(units_N), recipe.train.batch_size)
    rate, steps, center, beside = 1 / in_epoch, recipe.epochs * in_epoch, None, []
    if params.center > 0:
        whole = find_multiplier(epsilon, delta, rate=1.0, steps=1)
        center = whole * params.center**-0.5
        beside = [Release(center, 1.0, 1)]
    multiplier = find_multiplier(epsilon, delta, rate=rate, steps=steps, beside=beside)
    return Mechanism(params, units_N, steps, rate, multiplier, center, words)
