"""Two texts that are nearly the same, side by side: what the one has and the other lacks."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

_TOKENS = re.compile(r"\s+|[^\W\u3040-\u30ff\u3400-\u9fff]+|.", re.DOTALL)
"""White space, a word, or any sign alone; each sign of Han and Kana is one."""


@dataclass(frozen=True)
class Piece:
    """A part of a text."""

    text: str
    is_other: bool
    """Whether the other text lacks it at this place."""


def pieces(text: str, other: str) -> Sequence[Piece]:
    """Return a text in parts: joined, they are the text."""
    ours, theirs = _TOKENS.findall(text), _TOKENS.findall(other)
    found = SequenceMatcher(None, ours, theirs, autojunk=False).get_opcodes()
    return [
        Piece("".join(ours[start:end]), kind != "equal")
        for kind, start, end, _, _ in found
        if start < end
    ]
