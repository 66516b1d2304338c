"""Who is trained on and who is not: a fair coin for each unit.

Axes: N items, S trainings.
"""

import numpy as np
import numpy.typing as npt

Flags = npt.NDArray[np.bool_]


def flip(units_N: npt.NDArray[np.int64], generator: np.random.Generator) -> Flags:
    """Return which items are in: those of one unit together, each unit with probability 1/2.

    Args:
        units_N: Numbers from 0.
        generator: Gives one number for each unit.
    """
    sides = generator.random(int(units_N.max(initial=-1)) + 1) < 0.5
    return sides[units_N]


def halve(units_N: npt.NDArray[np.int64], trainings: int, generator: np.random.Generator) -> Flags:
    """Return which items are in for each training: bool [S, N].

    Every unit is in for exactly half of the trainings (one more or less where S is odd), so that
    each item has heads that saw it and heads that did not.

    Args:
        units_N: Numbers from 0.
        trainings: S.
        generator: Deals the trainings out.
    """
    ranks = generator.random((trainings, int(units_N.max(initial=-1)) + 1)).argsort(axis=0)
    sides: Flags = ranks < trainings // 2
    return sides[:, units_N]
