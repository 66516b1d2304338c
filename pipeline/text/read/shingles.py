"""The sketch of a text: the smallest hashes of its pieces.

A piece is five bytes of UTF-8 in a row: five letters of Latin script, or nearly two signs of Han.
Punctuation is a blank. A text of at most `SIZE` different pieces has all of them in its sketch, so
that two such texts are compared exactly. Of a longer one the `SIZE` smallest hashes are a random
sample: the estimate of a likeness of 0.8 then has a standard error of 0.025.
"""

import re

import numpy as np
import numpy.typing as npt

Hashes = npt.NDArray[np.uint32]

SIZE = 256
"""Hashes in a sketch."""

FILL = np.uint32(0xFFFFFFFF)
"""Behind the hashes of a short text; no piece has it."""

NONE = np.full(SIZE, FILL, dtype="<u4").tobytes()
"""The sketch of what has no piece."""

_BYTES = 5
_MARKS = re.compile(r"[\s!-/:-@\[-`{-~\u00a1-\u00bf\u2010-\u205e\u3001-\u303f]+")


def sketch(key: str) -> bytes:
    """Return the sketch of a text's `copy_key`: uint32 [`SIZE`], little-endian, ascending."""
    words = _MARKS.sub(" ", key).strip() or key
    values = np.frombuffer(f" {words} ".encode().ljust(_BYTES), dtype=np.uint8).astype(np.uint64)
    pieces = values[_BYTES - 1 :].copy()
    for place in range(_BYTES - 1):
        pieces = (pieces << np.uint64(8)) | values[place : place + len(pieces)]
    found = np.unique(_mixed(pieces))[:SIZE]
    filled = np.full(SIZE, FILL, dtype="<u4")
    filled[: len(found)] = found
    return filled.tobytes()


def _mixed(values: npt.NDArray[np.uint64]) -> Hashes:
    """Return hashes that are spread evenly; none of them is `FILL`."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    hashes = ((values ^ (values >> np.uint64(31))) >> np.uint64(32)).astype(np.uint32)
    return np.minimum(hashes, FILL - np.uint32(1))
