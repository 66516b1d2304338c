"""How far a number lies from the others, where a few of them are wild."""

import numpy as np

_NORMAL = 1.4826
"""The median absolute deviation of normal numbers, times this, is their standard deviation."""


def robust_deviations(values_N: np.ndarray) -> np.ndarray:
    """Return each value's distance from the median, in robust deviations; float64 [N].

    The measure is the median absolute deviation. Where over half of the values are equal it is 0,
    and the mean absolute deviation takes its place; where all are equal, all distances are 0.

    Source:
        Iglewicz and Hoaglin (1993), "How to detect and handle outliers".
    """
    centered = values_N.astype(np.float64) - np.median(values_N)
    spread = _NORMAL * float(np.median(np.abs(centered)))
    if spread == 0.0:
        spread = 1.2533 * float(np.mean(np.abs(centered)))
    return centered / spread if spread > 0.0 else np.zeros_like(centered)
