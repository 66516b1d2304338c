"""The first bytes of a file as text, and where its markup begins."""

import re

_MARKUP = re.compile(
    r"\s*(<\?[^>]*>\s*|<!--.*?-->\s*|<!doctype\s+svg[^>[]*(\[[^]]*\])?[^>]*>\s*)*",
    re.IGNORECASE | re.DOTALL,
)
"""What may stand before the first element: prologs, comments, a document type."""


def as_text(head: bytes) -> str | None:
    """Decode a head that is text: UTF-8, or UTF-16 with its mark; else None."""
    # The last character may be cut in two at the end of the head.
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        text = head.decode("utf-16", errors="replace")
    else:
        text = head.decode("utf-8", errors="replace")
    text = text.removeprefix("\ufeff").removesuffix("\ufffd")
    is_text = all(each.isprintable() or each.isspace() for each in text) and "\ufffd" not in text
    return text if text and is_text else None


def past_markup(text: str) -> str:
    """Return what follows prologs, comments and a document type."""
    found = _MARKUP.match(text)
    return text[found.end() :] if found else text
