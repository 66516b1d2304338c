"""Text to numbers."""

import numpy as np
import numpy.typing as npt

from pipeline.ground.limits import ItemLimits

LIMITS = ItemLimits(bytes=1 << 20, seconds=10.0, memory=1 << 30)

Numbers = npt.NDArray[np.float32]


def parse(content: bytes) -> Numbers:
    """Return the numbers of a file.

    Raises:
        ValueError: It holds something else.
    """
    values = np.array([float(each) for each in content.decode("ascii").split(",")], np.float32)
    if not np.isfinite(values).all():
        raise ValueError("a value is not finite")
    return values
