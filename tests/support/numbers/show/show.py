"""The Show of lists of numbers."""

from collections.abc import Sequence

import numpy as np

from pipeline.store.shards import Array


class NumberShow:
    """Lists of numbers behind the protocol `Show`."""

    def draw(self, rows: Array) -> Sequence[Array]:
        """Return a strip of gray squares for each list: dark is low."""
        gray = np.clip(128 + 32 * rows, 0, 255).astype(np.uint8)
        return [
            np.repeat(np.kron(each, np.ones((8, 8), np.uint8))[..., None], 3, -1) for each in gray
        ]


SHOW = NumberShow()
