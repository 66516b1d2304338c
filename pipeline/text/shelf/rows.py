"""A text as a row of the store, and back."""

import re

import numpy as np
import numpy.typing as npt

from pipeline.text.read.plain import plain

Row = npt.NDArray[np.uint8]

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
"""They mean nothing in a sentence, and zeros fill up a row."""


def clean_text(text: str) -> str:
    """Return a text as `plain` does, where control characters are white space too."""
    return plain(_CONTROL.sub(" ", text))


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
