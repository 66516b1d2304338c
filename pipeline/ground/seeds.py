"""Independent random streams, each named, all from the one seed in params.yaml."""

import hashlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt


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


def pick(names: Sequence[str], most: int, seed: int, stream: str) -> npt.NDArray[np.int64]:
    """Return the places of at most so many names, ascending: those with the lowest hashes.

    A further name moves out one at most.
    """
    order = np.argsort([derive(seed, stream, each) for each in names], kind="stable")
    return np.sort(order[:most]).astype(np.int64)


def deal(names: Sequence[str], parts: int, seed: int, stream: str) -> npt.NDArray[np.int64]:
    """Return the part of each name, in [0, parts), by itself alone: others never move it."""
    return np.array([derive(seed, stream, each) % parts for each in names], dtype=np.int64)
