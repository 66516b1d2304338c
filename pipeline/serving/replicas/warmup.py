"""First predictions of a version, before it takes requests: is it enough to compute what was asked?

A batch that is not filled up costs a fraction of a full one. On most machines it gives the same
bits; where a library chooses other kernels by the size of a batch, bf16 may differ visibly.
"""

from collections.abc import Sequence
from typing import Any

Row = dict[str, Any]

TOLERANCE = 1e-5
"""Largest difference to a full batch, a tenth of what answers may differ from the evaluation."""


def largest_difference(rows: Sequence[Row], others: Sequence[Row]) -> float:
    """Return the largest difference of a probability, or of a value relative to its size."""
    differences = [
        abs(value - other[name]) / max(1.0, abs(value))
        for row, other in zip(rows, others, strict=True)
        for name, value in row.items()
        if isinstance(value, float)
    ]
    return max(differences, default=0.0)
