"""Bytes to characters, and a text to the key by which its copies are known."""

import html
import re
from unicodedata import category, normalize

_INVISIBLE = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u2064"
    "\u2066-\u206f\u2800\u3164\ufe00-\ufe0f\ufeff\uffa0\U000e0000-\U000e0fff"
)
_UNSEEN = re.compile(f"[{_INVISIBLE}]")
_DIGITS = re.compile(r"\d")
_BLIND = frozenset({"Cc", "Cf", "Zs", "Zl", "Zp"})


class UndecodableText(ValueError):
    """Bytes that are no UTF-8; the message says where, and what they may be."""


def decode(content: bytes) -> str:
    """Return the characters of UTF-8, without a byte order mark.

    Raises:
        UndecodableText: A byte is wrong.
    """
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        byte = content[error.start]
        raise UndecodableText(
            f"byte {error.start} of {len(content)} is 0x{byte:02x}; {_guess(content, error)}"
        ) from error
    return text.removeprefix("\ufeff")


def plain(text: str) -> str:
    """Return a text in NFC, with one blank for each run of white space and none at the ends."""
    return " ".join(normalize("NFC", text).split())


def has_visible(text: str) -> bool:
    """Return whether a character can be seen."""
    return any(
        category(char) not in _BLIND and not _UNSEEN.match(char)
        for char in text
        if not char.isspace()
    )


def copy_key(text: str, *, mask_digits: bool) -> str:
    """Return what copies of a text have in common.

    Case, width and form of characters, white space, HTML entities and what cannot be seen are no
    difference.

    Args:
        text: Of any form.
        mask_digits: Digits are no difference either.
    """
    folded = normalize("NFKC", html.unescape(text)).casefold()
    if not folded.isascii():
        folded = normalize("NFKC", _UNSEEN.sub("", folded))
    if mask_digits:
        folded = _DIGITS.sub("0", folded)
    return " ".join(folded.split())


def _guess(content: bytes, error: UnicodeDecodeError) -> str:
    """Say what bytes may be that are no UTF-8, and what to do."""
    start = error.start
    if content.startswith((b"\xff\xfe", b"\xfe\xff")) or content[:64].count(0) >= 16:
        return "it may be UTF-16: save it as UTF-8"
    if content[start] == 0xED and content[start + 1 : start + 2] >= b"\xa0":
        return "it is half of a surrogate pair: write the character whole, or remove it"
    if error.reason == "unexpected end of data":
        return "it may be cut within a character, or be Windows-1252: save it as UTF-8"
    high = sum(each >= 0x80 for each in content)
    if 3 * high > len(content):
        return "it may be of an older code for its language: save it as UTF-8"
    return "it may be Windows-1252: save it as UTF-8"
