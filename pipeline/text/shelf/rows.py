"""A text as a row of the store, and back."""

import re
import unicodedata

import numpy as np
import numpy.typing as npt

Row = npt.NDArray[np.uint8]

_BLANKS = re.compile(r"[\s\x00-\x1f\x7f-\x9f]+")
"""White space of all kinds, and control characters, which mean nothing in a sentence."""


def clean_text(text: str) -> str:
    """Return a text in composed form (NFC), with one blank for each run of white space."""
    return _BLANKS.sub(" ", unicodedata.normalize("NFC", text)).strip()


def text_row(text: str, length: int) -> Row:
    """Return a text's UTF-8, cut at a character's border, filled up with zeros: uint8 [length]."""
    content = text.encode()[: length + 1]
    if len(content) > length:
        content = content[:length].decode(errors="ignore").encode()
    row = np.zeros(length, dtype=np.uint8)
    row[: len(content)] = np.frombuffer(content, dtype=np.uint8)
    return row


def row_text(row: Row) -> str:
    """Return the text of a row."""
    return row.tobytes().rstrip(b"\0").decode()
