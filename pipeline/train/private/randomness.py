"""Random numbers for privacy: from the operating system, drawn once and kept nowhere.

Whoever knew the seed of a noise could subtract it. So no seed of params.yaml has a part in it, and
two private trainings of the same data never give the same bytes.
"""

import os
from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Words: TypeAlias = Callable[[int], npt.NDArray[np.uint64]]
"""Gives so many independent words, each uniform over all 64 bits."""

_BLOCK = 2**18
"""Numbers that are drawn at once; bounds memory."""

_SUMMANDS = 4
_BITS = 53
"""Of a float64's fraction."""


def system_words(count: int) -> npt.NDArray[np.uint64]:
    """Return words from the operating system's secure source."""
    return np.frombuffer(os.urandom(8 * count), dtype=np.uint64)


def uniforms(words: Words, count: int) -> npt.NDArray[np.float64]:
    """Return numbers in (0, 1], all multiples of 2^-53."""
    return ((words(count) >> np.uint64(64 - _BITS)).astype(np.float64) + 1.0) * 2.0**-_BITS


def normals(words: Words, count: int) -> npt.NDArray[np.float64]:
    """Return standard normal numbers.

    Each is a half of the sum of four, so that the gaps between floating-point numbers do not tell
    what noise was added to (Holohan and Braghin 2021). Two uniform numbers become two normal ones
    as in Box and Muller (1958).
    """
    blocks = [min(_BLOCK, count - start) for start in range(0, count, _BLOCK)]
    return np.concatenate([np.empty(0), *(_normals(words, each) for each in blocks)])


def _normals(words: Words, count: int) -> npt.NDArray[np.float64]:
    pairs = -(-count * _SUMMANDS // 2)
    radii = np.sqrt(-2.0 * np.log(uniforms(words, pairs)))
    angles = 2.0 * np.pi * uniforms(words, pairs)
    drawn = np.concatenate([radii * np.cos(angles), radii * np.sin(angles)])
    summands = drawn[: count * _SUMMANDS].reshape(_SUMMANDS, count)
    return np.asarray(summands.sum(axis=0) / np.sqrt(_SUMMANDS), dtype=np.float64)
