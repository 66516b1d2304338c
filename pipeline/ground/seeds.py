"""Independent random streams, each named, all from the one seed in params.yaml."""

import hashlib

import numpy as np


def derive(seed: int, *names: str | int) -> int:
    """Return the seed of a named stream, in [0, 2^63).

    The same seed and names give the same number on every machine; any other name gives an
    unrelated one.
    """
    text = "\x1f".join([str(seed), *map(str, names)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def numpy_generator(seed: int, *names: str | int) -> np.random.Generator:
    """Return a numpy generator for a named stream."""
    return np.random.Generator(np.random.PCG64(derive(seed, *names)))
