"""The words of a table of vectors as a tokenizer: `tokenizer.json` in the form of the library."""

import json
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from pipeline.text.shelf.tokens import UNKNOWN, Tokenizer

PADDING = "[PAD]"

FIRST = 2
"""The row of the first word; before it are those of padding and of what is not known."""

_RESERVED = (PADDING, UNKNOWN)
_LETTERS = r"[[\p{L}\p{M}\p{N}_]&&[^\p{Han}]]+"
_ALWAYS = (r"(?:\p{L}\.){2,}", r"\p{N}+(?:[.,:]\p{N}+)+", r"\p{Han}")
_SYMBOL = r"[^\s\p{L}\p{M}\p{N}_]"
_SHORT_FORMS = (r"\p{L}+(?=n't\b)", r"n't\b", r"'(?:s|re|ve|ll|d|m)\b")


class Words(Tokenizer):
    """Words without those that have no vector."""

    def read(self, text: str, most: int) -> list[int]:
        """Return the rows of a text's words that are known; of the first ones, at most so many."""
        unknown = self.unknown()
        return [each for each in self.encoded(text).ids if each != unknown][:most]

    def spans(self, text: str, most: int) -> list[tuple[int, int]]:
        """Return where in a text each word of `read` is."""
        unknown, found = self.unknown(), self.encoded(text)
        pairs = zip(found.ids, found.offsets, strict=True)
        return [place for number, place in pairs if number != unknown][:most]


def usable(words: Sequence[str]) -> list[int]:
    """Return the places of words that no mark of ours has the name of."""
    return [place for place, word in enumerate(words) if word not in _RESERVED]


def vocabulary_file(words: Sequence[str]) -> Tensor:
    """Return the bytes of a `tokenizer.json` that knows these words, uint8.

    Texts are read in lower case where all words are; short forms are parted (`do` `n't`) where
    the words have such parts. Numbers and abbreviations with points are one word, hyphens part,
    and every Chinese character stands for itself.

    Args:
        words: In the order of the rows from `FIRST` on, each once.
    """
    is_parted = "n't" in set(words)
    forms = _SHORT_FORMS if is_parted else ()
    letters = _LETTERS if is_parted else rf"{_LETTERS}(?:'{_LETTERS})*"
    pattern = "|".join((*forms, *_ALWAYS, letters, _SYMBOL))
    normalizers = [{"type": "Replace", "pattern": {"String": "\u2019"}, "content": "'"}]
    if all(word == word.lower() for word in words):
        normalizers.append({"type": "Lowercase"})
    content: dict[str, Any] = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [],
        "normalizer": {"type": "Sequence", "normalizers": normalizers},
        "pre_tokenizer": {
            "type": "Split",
            "pattern": {"Regex": pattern},
            "behavior": "Removed",
            "invert": True,
        },
        "post_processor": None,
        "decoder": None,
        "model": {
            "type": "WordLevel",
            "vocab": {word: row for row, word in enumerate((*_RESERVED, *words))},
            "unk_token": UNKNOWN,
        },
    }
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
    return torch.frombuffer(bytearray(text.encode()), dtype=torch.uint8)
