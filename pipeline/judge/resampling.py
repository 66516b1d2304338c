"""Functions of weighted items: their values, and 95 % intervals from resamples of whole groups.

Axes: N items, K classes, R resamples.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from pipeline.ground.seeds import numpy_generator

Scores = dict[str, np.ndarray]
"""For each metric R values; NaN where it is not defined on that resample."""

_CELLS_AT_ONCE = 4_000_000


@dataclass(frozen=True)
class Bootstrap:
    """How intervals are made: `resamples` draws of whole groups, with replacement."""

    resamples: int
    seed: int
    groups_N: np.ndarray
    """Group of each item, int64 in [0, number of groups)."""


def point(scores: Callable[[np.ndarray], Scores], items: int) -> dict[str, float]:
    """Return the metrics of all items, each counted once; those not defined are left out."""
    return defined(scores(np.ones((1, items))))


def intervals(
    scores: Callable[[np.ndarray], Scores], bootstrap: Bootstrap
) -> dict[str, dict[str, float]]:
    """Return the 95 % interval of each metric: percentiles 2.5 and 97.5 of the resamples.

    A metric that is not defined on more than half of the resamples is left out.

    Args:
        scores: Weights [R, N] to metrics.
        bootstrap: What is drawn; with no resamples there are no intervals.
    """
    result = {}
    for name, values_R in resampled(scores, bootstrap).items():
        defined = values_R[~np.isnan(values_R)]
        if len(defined) * 2 >= len(values_R):
            low, high = np.percentile(defined, [2.5, 97.5])
            result[name] = {"low": float(low), "high": float(high)}
    return result


def resampled(scores: Callable[[np.ndarray], Scores], bootstrap: Bootstrap) -> Scores:
    """Return what `scores` gives for the weights of every resample, the resamples first.

    Args:
        scores: Weights [R, N] to arrays [R, ...].
        bootstrap: What is drawn; with no resamples the result is empty.
    """
    rows_at_once = max(1, _CELLS_AT_ONCE // len(bootstrap.groups_N))
    starts = range(0, bootstrap.resamples, rows_at_once)
    generator = numpy_generator(bootstrap.seed, "bootstrap")
    parts = [
        scores(_draw(generator, min(rows_at_once, bootstrap.resamples - start), bootstrap.groups_N))
        for start in starts
    ]
    return {name: np.concatenate([part[name] for part in parts]) for name in (parts or [{}])[0]}


def weigh(weights_RN: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return weighted sums of values [N] or [N, K].

    Not `@`: a BLAS shares the sum among as many threads as there are cores, and the last bits with
    them.
    """
    axes = "rn,n->r" if values.ndim == 1 else "rn,nk->rk"
    return np.asarray(np.einsum(axes, weights_RN, values.astype(np.float64)))


def ratio(top: np.ndarray, bottom: np.ndarray) -> np.ndarray:
    """Divide; 0 where the divisor is 0."""
    positive = bottom > 0
    return np.where(positive, top / np.where(positive, bottom, 1.0), 0.0)


def one_hot(number_N: np.ndarray, size: int) -> np.ndarray:
    """Return a table [N, size] with a 1 in each row, at the place of its number."""
    table = np.zeros((len(number_N), size))
    table[np.arange(len(number_N)), number_N] = 1.0
    return table


def _draw(generator: np.random.Generator, resamples: int, groups_N: np.ndarray) -> np.ndarray:
    """Draw groups with replacement; give how often each item came, [R, N]."""
    groups = int(groups_N.max()) + 1
    drawn = generator.integers(groups, size=(resamples, groups))
    offset = np.arange(resamples)[:, np.newaxis] * groups
    counts = np.bincount((drawn + offset).ravel(), minlength=resamples * groups)
    return np.asarray(counts.reshape(resamples, groups)[:, groups_N], dtype=np.float64)


def defined(scores: Scores) -> dict[str, float]:
    """Return the first value of each metric, but NaN."""
    return {name: float(values[0]) for name, values in scores.items() if not np.isnan(values[0])}
