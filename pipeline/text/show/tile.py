"""The text of an item's bytes."""

from pipeline.text.read.plain import UndecodableText, decode


def text_of(content: bytes | None) -> str | None:
    """Return the text of an item's bytes; None where there are none, or they are no text."""
    try:
        return None if content is None else decode(content)
    except UndecodableText:
        return None
