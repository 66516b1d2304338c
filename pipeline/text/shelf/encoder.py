"""The Encoder of texts."""

import unicodedata
from collections.abc import Sequence

import numpy as np

from pipeline.store.previous_build import code_digest
from pipeline.text.read import plain
from pipeline.text.shelf import rows
from pipeline.text.shelf.params import TextSpec
from pipeline.text.shelf.rows import Row, clean_text, text_row


class TextEncoder:
    """Bytes to a row of the store."""

    max_bytes = 1 << 28
    less_room = "lower text.transform.max_tokens"
    less_refused = "lower text.clean.max_chars"

    def code(self) -> str:
        """Return a digest of the code that decides the bytes of a row."""
        versions = {"numpy": np.__version__, "unicode": unicodedata.unidata_version}
        return code_digest(plain, rows, versions=versions)

    def encode(self, content: bytes, specs: Sequence[TextSpec]) -> Sequence[Row] | str:
        """Return the row of a text under each spec, or say why there is none."""
        try:
            text = clean_text(content.decode("utf-8-sig"))
        except UnicodeDecodeError as error:
            return f"not UTF-8 at byte {error.start}"
        return [text_row(text, each.row_bytes) for each in specs]


ENCODER = TextEncoder()
