"""The Show of texts."""

from collections.abc import Sequence
from pathlib import Path

from pipeline.store.shards import Array
from pipeline.text.show.sheet import text_sheet


class TextShow:
    """Texts behind the protocol `Show`."""

    suffix = ".svg"

    def draw(self, rows: Array) -> Sequence[str]:
        """Return each text: rows are UTF-8, with zeros behind it."""
        return [row.tobytes().rstrip(b"\0").decode("utf-8", "replace") for row in rows]

    def write_sheet(
        self,
        path: Path,
        cells: Sequence[tuple[Sequence[str | None], str]],
        *,
        title: str,
        empty: str = "none",
    ) -> None:
        """Write texts with captions."""
        text_sheet(path, cells, title=title, empty=empty)


SHOW = TextShow()
