"""What is odd in a text that is kept."""

import re
from collections.abc import Callable, Mapping
from html.entities import html5

NOTES = {
    "mojibake": "it seems to be UTF-8 that was once read as Latin-1, as in `Ã©` for `é`",
    "replaced": "a character was lost before: U+FFFD stands in its place",
    "html": "it has tags or entities of HTML",
    "control": "it has control characters, besides tabs and ends of lines",
    "zero_width": "it has characters that cannot be seen: blanks without width, marks of direction",
    "no_letters": "it has no letter: digits, punctuation or symbols alone",
}
"""What may be noted of a text that is kept, and what each note means."""

ALARMS = frozenset({"mojibake", "replaced", "control"})
"""Notes on texts that may not be what they seem."""

_CONTROL = re.compile(r"[\0-\x08\x0b\x0c\x0e-\x1b\x7f-\x84\x86-\x9f]")
_ZERO_WIDTH = re.compile("[\u00ad\u200b\u200e\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff]")
_TAG = re.compile(
    r"</?(?:a|b|blockquote|body|br|code|div|em|font|h[1-6]|head|hr|html|i|img|li|ol|p|pre|script|"
    r"span|strong|style|sub|sup|table|tbody|td|th|title|tr|u|ul)(?:\s[^<>]*)?/?>",
    re.IGNORECASE,
)
_ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][\da-fA-F]{1,6}|([A-Za-z][A-Za-z\d]{1,31}));")
# What the bytes 0x80 to 0xbf are in Windows-1252 and in Latin-1, but for what ends a quotation:
# `É»` is one, not two bytes of one character.
_REST = bytes(range(0x80, 0xC0)).decode("cp1252", "ignore") + bytes(range(0x80, 0xA0)).decode(
    "latin-1"
)
_TAIL = "[" + re.escape("".join(sorted(set(_REST) - set("\u00bb\u201d\u2019\u203a\u2026")))) + "]"
_ANY = "[" + re.escape("".join(sorted(set(_REST)))) + "]"
_MOJIBAKE = re.compile(
    f"[ÂÃ]{_TAIL}|[ÐÑÎÏ\u00d7ØÙ]{_ANY}[ÐÑÎÏ\u00d7ØÙ]{_ANY}|â[€\x80]{_ANY}|ï»¿|ð[Ÿ\x9f]{_ANY}{_ANY}"
    f"|[ã-é]{_ANY}{_ANY}[ã-é]{_ANY}{_ANY}"
)


def find_marks(text: str) -> tuple[str, ...]:
    """Return the codes of `NOTES` that hold for a text."""
    return tuple(code for code, holds in _TESTS.items() if holds(text))


def _has_html(text: str) -> bool:
    if "<" in text and _TAG.search(text):
        return True
    return "&" in text and any(
        found[1] is None or f"{found[1]};" in html5 for found in _ENTITY.finditer(text)
    )


_TESTS: Mapping[str, Callable[[str], bool]] = {
    "mojibake": lambda text: not text.isascii() and _MOJIBAKE.search(text) is not None,
    "replaced": lambda text: "\ufffd" in text,
    "html": _has_html,
    "control": lambda text: not text.isprintable() and _CONTROL.search(text) is not None,
    "zero_width": lambda text: not text.isascii() and _ZERO_WIDTH.search(text) is not None,
    "no_letters": lambda text: not any(map(str.isalpha, text)),
}
