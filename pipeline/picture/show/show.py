"""The Show of pictures."""

from collections.abc import Sequence

from pipeline.store.shards import Array


class PictureShow:
    """Pictures behind the protocol `Show`."""

    def draw(self, rows: Array) -> Sequence[Array]:
        """Return the pictures themselves, channels last."""
        return list(rows.transpose(0, 2, 3, 1))


SHOW = PictureShow()
