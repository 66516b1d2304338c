"""The Show of lists of numbers."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pipeline.ground.plots import contact_sheet, side_by_side
from pipeline.store.shards import Array


class NumberShow:
    """Lists of numbers behind the protocol `Show`."""

    suffix = ".png"

    def draw(self, rows: Array) -> Sequence[Array]:
        """Return a strip of gray squares for each list: dark is low."""
        gray = np.clip(128 + 32 * rows, 0, 255).astype(np.uint8)
        return [
            np.repeat(np.kron(each, np.ones((8, 8), np.uint8))[..., None], 3, -1) for each in gray
        ]

    def write_sheet(
        self,
        path: Path,
        cells: Sequence[tuple[Sequence[Array], str]],
        *,
        title: str,
        empty: str = "none",
    ) -> None:
        """Draw lists with captions."""
        tiles = [(side_by_side(tiles), caption) for tiles, caption in cells]
        contact_sheet(path, tiles, title=title, empty=empty)


SHOW = NumberShow()
