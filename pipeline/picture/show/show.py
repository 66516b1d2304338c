"""The Show of pictures."""

from collections.abc import Sequence
from pathlib import Path

from pipeline.ground.plots import contact_sheet, side_by_side
from pipeline.store.shards import Array


class PictureShow:
    """Pictures behind the protocol `Show`."""

    suffix = ".png"

    def draw(self, rows: Array) -> Sequence[Array]:
        """Return the pictures themselves, channels last."""
        return list(rows.transpose(0, 2, 3, 1))

    def write_sheet(
        self,
        path: Path,
        cells: Sequence[tuple[Sequence[Array], str]],
        *,
        title: str,
        empty: str = "none",
    ) -> None:
        """Draw pictures with captions."""
        tiles = [(side_by_side(tiles), caption) for tiles, caption in cells]
        contact_sheet(path, tiles, title=title, empty=empty)


SHOW = PictureShow()
