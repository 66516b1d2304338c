"""The Shelf of lists of numbers: float32 rows of one length."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from pipeline.numbers.shelf.params import NumberShelfParams, NumberSpec


class NumberShelf:
    """Rows are float32 [`length`]."""

    params = NumberShelfParams

    def spec(self, record: Mapping[str, Any]) -> NumberSpec:
        """Read how lists become rows, from JSON."""
        return NumberSpec(int(record["length"]))

    def row(self, spec: NumberSpec) -> tuple[tuple[int, ...], np.dtype[Any]]:
        """Return shape and type of a row."""
        return (spec.length,), np.dtype(np.float32)


SHELF = NumberShelf()
