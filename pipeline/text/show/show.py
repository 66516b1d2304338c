"""The Show of texts."""

from collections.abc import Sequence

from pipeline.store.shards import Array
from pipeline.text.show.tile import tile


class TextShow:
    """Texts behind the protocol `Show`."""

    def draw(self, rows: Array) -> Sequence[Array]:
        """Draw the beginning of each text: rows are UTF-8, with zeros behind it."""
        return [tile(row.tobytes().rstrip(b"\0").decode("utf-8", "replace")) for row in rows]


SHOW = TextShow()
