"""Rows of text to numbers of tokens, by the tokenizer that belongs to the weights.

Axes: B = texts of a batch, L = bytes of a row, T = tokens of the longest text, rounded up.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from tokenizers import Encoding
from tokenizers import Tokenizer as Library
from torch import Tensor, nn

from pipeline.text.shelf.params import BYTES_PER_TOKEN
from pipeline.text.shelf.rows import row_text

TENSOR = "tokenizer.file"
"""Among the tensors of weights: the bytes of `tokenizer.json`."""

PAD = 0
"""The number of no token, by which texts of a batch are filled up."""

UNKNOWN = "[UNK]"
"""The token of what the weights do not know."""

_STEP = 8
"""T is a multiple of it: few shapes are quick, and an item's shape depends on itself alone."""


class Tokenizer(nn.Module):
    """A `tokenizer.json` as a part of the weights: the bytes of the file are a tensor.

    Its own limits and padding do not count: `transform.max_tokens` is the one limit.

    Attributes:
        window: The most tokens that the network reads at once; None: any number.
    """

    window: int | None = None

    file: Tensor
    """uint8, the bytes of the file; none before the weights are loaded."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("file", torch.zeros(0, dtype=torch.uint8))
        self._library: Library | None = None

    def read(self, text: str, most: int) -> list[int]:
        """Return the numbers of a text's tokens, marks of begin and end too; at most so many.

        What is longer than a window is read in several, and each has marks of its own.
        """
        return in_windows(_first(self.encoded(text).ids, most), self.window)

    def count(self, text: str) -> tuple[int, int]:
        """Return how many tokens a text has, marks too, and how many of them are unknown."""
        found, unknown = self.encoded(text), self.unknown()
        return len(found.ids), found.ids.count(unknown) if unknown is not None else 0

    def spans(self, text: str, most: int) -> list[tuple[int, int]]:
        """Return where in a text each token of `read` is; (0, 0) for marks."""
        return in_windows(_first(self.encoded(text).offsets, most), self.window)

    def forward(self, rows_BL: Tensor) -> Tensor:
        """Return the tokens of rows: int64 [B, T] on the device of the rows."""
        rows = rows_BL.cpu().numpy()
        most = rows.shape[1] // BYTES_PER_TOKEN
        numbers = [self.read(row_text(row), most) for row in rows]
        out = np.full((len(numbers), padded(max(map(len, numbers), default=0))), PAD, np.int64)
        for place, each in enumerate(numbers):
            out[place, : len(each)] = each
        return torch.from_numpy(out).to(rows_BL.device)

    def encoded(self, text: str) -> Encoding:
        """Return all that the library says of a text."""
        return self._loaded().encode(text)

    def unknown(self) -> int | None:
        """Return the number of the token of what is not known, if there is one."""
        found: int | None = self._loaded().token_to_id(UNKNOWN)
        return found

    def _loaded(self) -> Library:
        if self._library is None:
            self._library = Library.from_str(self.file.cpu().numpy().tobytes().decode())
            self._library.no_truncation()
            self._library.no_padding()
        return self._library

    def _load_from_state_dict(self, state_dict: dict[str, Tensor], prefix: str, *rest: Any) -> None:
        """Take the file in whatever length it has."""
        found = state_dict.get(f"{prefix}file")
        if found is not None:
            self.file = found.detach().to(self.file.device, torch.uint8, copy=True)
            self._library = None
        super()._load_from_state_dict(state_dict, prefix, *rest)


def in_windows(found: list[Any], window: int | None) -> list[Any]:
    """Put a text's tokens into windows, one after the other; all but the last one are full.

    Args:
        found: All, between a mark of begin and one of end; each window gets both.
        window: The most tokens of one, marks too; None: any number.
    """
    if window is None or len(found) <= window:
        return found
    begin, *inner, end = found
    room = window - 2
    starts = range(0, len(inner), room)
    return [each for at in starts for each in (begin, *inner[at : at + room], end)]


def _first(found: Sequence[Any], most: int) -> list[Any]:
    """Return so many at most, the last mark among them."""
    return [*found] if len(found) <= most else [*found[: most - 1], found[-1]]


def padded(tokens: int) -> int:
    """Return the T of a text with so many tokens; of one without any, as of one."""
    return -(-max(tokens, 1) // _STEP) * _STEP
