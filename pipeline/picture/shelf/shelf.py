"""The Shelf of pictures: what a row of the store is."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from pipeline.picture.read.spec import DecodeSpec
from pipeline.picture.shelf.params import TransformParams


class PictureShelf:
    """Rows are uint8 [3, `size_px`, `size_px`]: red, green and blue."""

    params = TransformParams

    def spec(self, record: Mapping[str, Any]) -> DecodeSpec:
        """Read how pictures become rows, from JSON."""
        return DecodeSpec.from_dict(record)

    def row(self, spec: DecodeSpec) -> tuple[tuple[int, ...], np.dtype[Any]]:
        """Return shape and type of a row."""
        return (3, spec.size_px, spec.size_px), np.dtype(np.uint8)


SHELF = PictureShelf()
