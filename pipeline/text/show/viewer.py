"""The Viewer of texts: raw items as plain text, and as tiles of a sheet."""

from pipeline.modality.types.protocols import View, ViewSize
from pipeline.text.read.plain import UndecodableText, decode
from pipeline.text.read.probe import TextLook
from pipeline.text.show.tile import text_of

_MEDIA_TYPE = "text/plain; charset=utf-8"
_CHARS: dict[ViewSize, int] = {"thumb": 200, "view": 20_000, "full": 1 << 30}
_REFUSED = {
    "too_short": "Too short",
    "too_long": "Too long",
    "other_language": "Of another language",
}
_UNREAD = {
    "not_utf8": "Not UTF-8",
    "unprintable": "Nothing to see",
    "too_large": "Too large",
    "truncated": "Cut off",
    "damaged": "Damaged",
}


class TextViewer:
    """Texts behind the protocol `Viewer`."""

    inverse_turns = (0,)
    refused = _REFUSED
    unread = _UNREAD

    def tile(self, content: bytes | None, look: TextLook, *, side_px: int) -> str | None:
        """Return a text; None where there is none."""
        del look, side_px
        return text_of(content)

    def view(self, content: bytes, look: TextLook, size: ViewSize) -> View | str:
        """Return a text as it is, or its beginning, or in words why there is none."""
        del look
        try:
            text = decode(content)
        except UndecodableText as error:
            return f"not_utf8: {error}"
        most = _CHARS[size]
        shown = text if len(text) <= most else f"{text[:most]}… ({len(text) - most:,} more)"
        return View(shown.encode(), _MEDIA_TYPE)


VIEWER = TextViewer()
