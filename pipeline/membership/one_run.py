"""A lower bound of epsilon from one training, in which a coin decided on every unit.

Whoever guesses the coins from the model alone is right no more often than epsilon allows: of r
guesses, at most as often as r coins that fall right with probability e^eps / (1 + e^eps), but for a
part that delta may add. More right guesses refute the epsilon.

Source: Steinke, Nasr and Jagielski (2023), Privacy Auditing with One (1) Training Run, theorem 5.2.

Axes: M units.
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy import stats

CONFIDENCE = 0.95
MOST = 64.0
"""An epsilon above it bounds nothing, and is not looked for."""

_HALVINGS = 40


@dataclass(frozen=True)
class Guesses:
    """What was guessed of the coins, and what came out."""

    units: int
    made: int
    right: int


def guess(scores_M: np.ndarray, inside_M: np.ndarray, made: int) -> Guesses:
    """Guess `in` for the highest scores and `out` for the lowest, as many of both.

    Args:
        scores_M: Higher speaks for `in`.
        inside_M: The coins.
        made: Guesses, even; fixed without a look at the coins.
    """
    order = np.argsort(-scores_M, kind="stable")
    half = made // 2
    right = inside_M[order[:half]].sum() + (~inside_M[order[len(order) - half :]]).sum()
    return Guesses(len(order), 2 * half, int(right))


def p_value(found: Guesses, epsilon: float, delta: float) -> float:
    """Return the most that the chance of so many right guesses can be under (epsilon, delta)."""
    right, made = found.right, found.made
    fair = 1.0 / (1.0 + math.exp(-epsilon))
    tail = float(stats.binom.sf(right - 1, made, fair))
    if delta == 0.0 or right == 0:
        return min(1.0, tail)
    steps = np.arange(1, right + 1)
    below = np.cumsum(stats.binom.pmf(right - steps, made, fair))
    return min(1.0, tail + 2.0 * found.units * delta * float((below / steps).max()))


def epsilon_bound(found: Guesses, delta: float) -> float:
    """Return the largest epsilon that the guesses refute, at least 0, at most `MOST`."""
    level = 1.0 - CONFIDENCE
    if p_value(found, 0.0, delta) > level:
        return 0.0
    low, high = 0.0, MOST
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if p_value(found, middle, delta) <= level else (low, middle)
    return low


def choose_made(scores_M: np.ndarray, inside_M: np.ndarray, delta: float) -> int:
    """Return the number of guesses that bounds best on a rehearsal: other coins, another head."""
    most = len(scores_M) // 2 * 2
    tried = sorted({max(2, round(most * share / 2) * 2) for share in np.geomspace(0.01, 1.0, 12)})
    bounds = [epsilon_bound(guess(scores_M, inside_M, made), delta) for made in tried]
    return int(tried[int(np.argmax(bounds))])
