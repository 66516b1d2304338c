"""A text in words: where each begins and ends, and the text without some."""

import re
from collections.abc import Collection, Sequence

from pipeline.text.shelf.rows import clean_text

Span = tuple[int, int]
"""Where something begins and ends in a text, in code points."""

_SIGNS = "\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
_POINTS = "!-#%-*,-/:;?@\\[-\\]_{}\u2010-\u2018\u201a-\u205e\u3000-\u303f\uff01-\uff0f\uff1a-\uff20"
_OTHERS = f"[^\\s{_SIGNS}{_POINTS}]+"
_WORD = re.compile(f"[{_SIGNS}]|[{_POINTS}]+|{_OTHERS}(?:['\u2019-]{_OTHERS})*")
"""A sign of Han or Kana, a run of punctuation, or anything else up to white space."""


def find_words(text: str, most: int) -> list[Span]:
    """Return the words of a text; neighbors stand together where there are more than so many."""
    spans = [found.span() for found in _WORD.finditer(text)]
    size = -(-len(spans) // most) or 1
    return [
        (group[0][0], group[-1][1])
        for group in (spans[at : at + size] for at in range(0, len(spans), size))
    ]


def without(text: str, spans: Sequence[Span], left_out: Collection[int]) -> str:
    """Return a text without some of its words, by their numbers."""
    kept, at = [], 0
    for number in sorted(left_out):
        start, end = spans[number]
        kept.append(text[at:start])
        at = end
    return clean_text("".join([*kept, text[at:]]))
