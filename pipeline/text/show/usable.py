"""Bytes to the text that a model reads, or why there is none."""

from pipeline.text.read.plain import UndecodableText, decode, has_visible
from pipeline.text.shelf.rows import clean_text


class UnusableText(ValueError):
    """No text that could be read; the message is `<reason>: <detail>`."""


def usable_text(content: bytes, most: int) -> str:
    """Return a text as rows hold it.

    Args:
        content: UTF-8.
        most: Characters.

    Raises:
        UnusableText: There is none.
    """
    try:
        text = decode(content)
    except UndecodableText as error:
        raise UnusableText(f"not_utf8: {error}") from error
    if len(text) > most:
        raise UnusableText(f"too_long: {len(text)} characters, over {most}")
    cleaned = clean_text(text)
    if not cleaned:
        raise UnusableText(
            f"empty: {len(content)} bytes, nothing but white space and control characters"
        )
    if not has_visible(cleaned):
        raise UnusableText(f"unprintable: {len(cleaned)} characters, none to be seen")
    return cleaned
