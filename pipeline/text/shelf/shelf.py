"""The Shelf of texts: UTF-8 in rows of one length, filled up with zeros."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from pipeline.text.shelf.params import TextSpec, TextTransformParams


class TextShelf:
    """Rows are uint8 [8 * max_tokens]."""

    params = TextTransformParams

    def spec(self, record: Mapping[str, Any]) -> TextSpec:
        """Read how texts become rows, from JSON."""
        return TextSpec(int(record["max_tokens"]))

    def row(self, spec: TextSpec) -> tuple[tuple[int, ...], np.dtype[Any]]:
        """Return shape and type of a row."""
        return (spec.row_bytes,), np.dtype(np.uint8)


SHELF = TextShelf()
