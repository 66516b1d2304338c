"""How much noise a budget asks for, and what was spent: by the accountant of Opacus.

The accountant composes privacy loss distributions (PRV; Gopi, Lee and Wutschitz 2021) and gives an
upper bound of epsilon, at most 0.01 above the true value. Data sets are neighbors if one has one
unit more than the other.
"""

import math
import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import brentq

from pipeline.ground.errors import MachineError, ParamsError

_CLOSE = 5e-4
"""Of the logarithm of the multiplier: it is above the least one that fits by at most twice that."""

_FIRST, _STRIDE, _LAST = 0.5, 1.0, 12.0
"""Of the logarithm of the multiplier, where it is looked for."""


class Release(NamedTuple):
    """Sums over sampled units with Gaussian noise, told one after the other.

    Attributes:
        multiplier: Standard deviation of the noise over the most that a unit changes the sum by.
        rate: Share of the units that a sum is of, each drawn independently; 1: all.
        steps: Number of sums.
    """

    multiplier: float
    rate: float
    steps: int


def epsilon_of(releases: Sequence[Release], delta: float) -> float:
    """Return the epsilon of all releases together, an upper bound.

    Raises:
        MachineError: The accountant is not installed.
    """
    accountant = _accountant()
    accountant.history = [tuple(each) for each in _joined(releases)]
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # of a domain that it then enlarges
        return float(accountant.get_epsilon(delta=delta))


def find_multiplier(
    epsilon: float, delta: float, *, rate: float, steps: int, beside: Sequence[Release] = ()
) -> float:
    """Return the least noise multiplier with which the releases keep to a budget.

    Args:
        epsilon: Of all releases together.
        delta: Likewise.
        rate: Of each step.
        steps: How many there are.
        beside: Other releases from the same budget.

    Raises:
        MachineError: The accountant is not installed.
        ParamsError: No noise is enough.
    """

    def excess(exponent: float) -> float:
        spent = epsilon_of([Release(math.exp(exponent), rate, steps), *beside], delta)
        return math.log(spent / epsilon)

    high = _FIRST
    while excess(high) > 0:
        high += _STRIDE
        if high > _LAST:
            raise ParamsError(
                "params.yaml",
                f"is too small for {steps} steps",
                field="train.privacy.epsilon",
                got=epsilon,
                remedy="raise it, or lower train.epochs or train.privacy.center",
            )
    low = high - _STRIDE
    while excess(low) < 0:
        low, high = low - _STRIDE, low
    return math.exp(brentq(excess, low, high, xtol=_CLOSE) + _CLOSE)


def _joined(releases: Sequence[Release]) -> list[Release]:
    """Take releases of all units together: many Gaussian sums tell as much as one with less noise.

    Source: composition of the Gaussian mechanism (Dong, Roth and Su 2022).
    """
    whole = [each for each in releases if each.rate == 1.0]
    found = [each for each in releases if each.rate < 1.0]
    if whole:
        precision = sum(each.steps / each.multiplier**2 for each in whole)
        found.append(Release(precision**-0.5, 1.0, 1))
    return found


def _accountant() -> Any:
    try:
        from opacus.accountants import PRVAccountant
    except ImportError as error:
        raise MachineError(
            "params.yaml",
            "train.privacy needs the package opacus, which is not installed",
            remedy="run `pip install 'rootstock[privacy]'`",
        ) from error
    return PRVAccountant()
