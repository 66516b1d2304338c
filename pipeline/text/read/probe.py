"""One look at one text: what it is, the hash of its words, or why it cannot be used.

It imports what that takes and no more: workers start sooner.
"""

import hashlib
import re
from dataclasses import asdict, dataclass
from typing import Any

from pipeline.ground.limits import ItemLimits
from pipeline.modality.types.probe import Probe
from pipeline.text.read.language import find_language
from pipeline.text.read.limits import LIMITS, MAX_CHARS
from pipeline.text.read.marks import find_marks
from pipeline.text.read.personal import count_personal
from pipeline.text.read.plain import UndecodableText, copy_key, decode, has_visible, plain
from pipeline.text.read.shingles import sketch

_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]|[^\s\u3040-\u30ff\u3400-\u9fff]+")
"""A sign of Han or Kana is a word."""


@dataclass(frozen=True)
class TextLook:
    """How texts are looked at: what decides which of them are copies."""

    mask_digits: bool

    @property
    def limits(self) -> ItemLimits:
        """Return what one text may take."""
        return LIMITS

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return asdict(self)

    def probe(self, content: bytes, path: str) -> Probe:
        """Read a text in full; a bad one is an answer, not an error."""
        del path
        try:
            text = decode(content)
        except UndecodableText as error:
            return Probe(reason="not_utf8", detail=str(error))
        shown = plain(text)
        if not shown:
            return Probe(reason="empty", detail=f"{len(content)} bytes, no character")
        if not has_visible(shown):
            return Probe(reason="unprintable", detail=f"{len(shown)} characters, none to be seen")
        key = copy_key(shown, mask_digits=self.mask_digits)
        if not key:
            return Probe(reason="empty", detail="white space alone, written as HTML")
        words = len(shown.split()) if shown.isascii() else len(_WORD.findall(shown))
        return Probe(
            facts=(len(shown), words, find_language(shown)),
            content_hash=hashlib.sha256(key.encode()).hexdigest(),
            sketch=sketch(key),
            notes=find_marks(text),
            carries=tuple(count_personal(text[:MAX_CHARS]).items()),
        )

    def named(self, probe: Probe, path: str) -> Probe:
        """Return the same probe: a name says nothing."""
        del path
        return probe
