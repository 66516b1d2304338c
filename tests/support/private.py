"""Privacy with noise that a seed decides, which only tests may have."""

import numpy as np

from pipeline.train.params import PrivacyParams


def fixed_words(seed: int):
    """Give words of a generator in place of the system's."""
    generator = np.random.default_rng(seed)
    return lambda count: generator.integers(0, 2**64, count, dtype=np.uint64)


def privacy(**changes) -> PrivacyParams:
    values = {"epsilon": 8.0, "delta": 1e-3, "clip": 0.5, "center": 0.0, "unit": "item"}
    return PrivacyParams.model_validate(values | changes)
