"""The letters of a zip's names where its packer did not say which: known beyond doubt, or asked.

A zip marks names that are UTF-8. Names without the mark should be in the letters of DOS (cp437);
programs write UTF-8 there, or whatever Windows has in their country. Some names make sense in
several ways: two bytes of a Chinese name can be one French letter. A class of a wrong name would be
learned without a word, so what is in doubt is refused, with all readings.
"""

import unicodedata
from collections.abc import Collection
from pathlib import Path
from typing import NoReturn

from pipeline.ground.errors import DataError
from pipeline.raw.visible import visible

_DOUBLE = ("gbk", "big5", "shift_jis", "euc_kr")
"""Codes that write a letter in two bytes: nearly all pairs of high bytes are some letter."""

_READINGS = ("utf-8", *_DOUBLE, "cp437", "cp1252", "cp1251", "cp866")
_DOS = ("cp850", "cp852", "cp857")
_HIGH = [(bytes([value]), bytes([value]).decode("cp437")) for value in range(128, 256)]
_COMMON = frozenset(
    letter
    for byte, letter in _HIGH
    if letter.isalpha() and all(letter.encode(code, "ignore") == byte for code in _DOS)
)
"""Letters that the codes of DOS agree on, from French to Turkish."""

_ENOUGH = 4
"""Points of evidence for UTF-8; in Chinese, one letter in five passes for it, four in 1 of 600."""

_SHOWN = 2


def choose_letters(where: Path | str, parts: Collection[bytes], *, by_unix: bool) -> str:
    """Return the code of names that do not say theirs: `utf-8` or `cp437`.

    Args:
        where: The archive's path or URL.
        parts: Of names that are not marked, all folders and files that are not ASCII.
        by_unix: Whether it was packed under Unix or macOS, where names are UTF-8 as a rule.

    Raises:
        DataError: It is in doubt.
    """
    if texts := _read(parts, "utf-8"):
        if by_unix + _foreign_to_others(parts) + _evidence(texts) >= _ENOUGH:
            return "utf-8"
    elif all(_is_word_of_dos(part) for part in parts):
        return "cp437"
    return _refuse(where, parts)


def _evidence(texts: Collection[str]) -> int:
    """Count what would hardly come by chance if the names were in another code."""
    letters = {letter for text in texts for letter in text if not letter.isascii()}
    points = sum(_weight(letter) for letter in letters)
    for text in texts:
        for before, letter, after in zip(" " + text, text, text[1:] + " ", strict=False):
            is_latin = "\u00c0" <= letter <= "\u036f"
            if is_latin and (_is_small(before) or _is_small(after)):
                return points + 2  # such as in café: other codes mix no words of two scripts
    return points


def _weight(letter: str) -> int:
    """Return the points of a letter: one less than the bytes it takes; a sign counts against it."""
    is_letter = unicodedata.category(letter)[0] in "LM"
    return len(letter.encode()) - 1 if is_letter or letter > "\u07ff" else -2


def _is_small(letter: str) -> bool:
    return "a" <= letter <= "z"


def _foreign_to_others(parts: Collection[bytes]) -> int:
    """Return points where no code of two bytes can read all names."""
    return 0 if any(_is_likely(_read(parts, code)) for code in _DOUBLE) else 2


def _is_likely(texts: Collection[str]) -> bool:
    """Return whether names could be meant so: those in half-width letters are accidents."""
    return bool(texts) and not any("\uff61" <= each <= "\uff9f" for text in texts for each in text)


def _is_word_of_dos(part: bytes) -> bool:
    """Return whether all words of a name are European ones in the letters of DOS."""
    text = part.decode("cp437")
    words = "".join(letter if letter.isalpha() else " " for letter in text).split()
    high = "".join(letter for letter in text if not letter.isascii())
    return set(high) <= _COMMON and all(map(_is_word, words))


def _is_word(word: str) -> bool:
    plain = sum(letter.isascii() for letter in word)
    if plain == len(word):
        return True
    has_one_case = word.islower() or word.isupper() or word.istitle()
    return has_one_case and plain >= 2 and plain > len(word) - plain


def _read(parts: Collection[bytes], code: str) -> list[str]:
    try:
        return [part.decode(code) for part in sorted(parts)]
    except UnicodeDecodeError:
        return []


def _refuse(where: Path | str, parts: Collection[bytes]) -> NoReturn:
    readings: dict[str, str] = {}
    for code in _READINGS:
        texts = _read(parts, code)
        if texts and all(text.isprintable() for text in texts):
            shown = ", ".join(repr(visible(text)) for text in texts[:_SHOWN])
            readings.setdefault(shown, f"{shown} ({code})")
    name = Path(where).name
    raise DataError(
        where,
        f"must say in which letters its names are; {len(parts)} names are not marked as UTF-8, and "
        f"may be {' or '.join(readings.values()) or 'in several codes'}",
        remedy=f"pack it again with names in UTF-8, as by `unzip -O CODE {name} -d DIR` and "
        "`zip -r` or `tar -cf` of DIR",
    )
