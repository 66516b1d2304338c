"""In which encoding a table of lines is: said by the params, or found by looking at its bytes.

UTF-8 is what it is where most lines beyond ASCII are. Else the encodings are tried that their
bytes tell apart: those of Chinese, Japanese and Korean by the signs that most texts consist of,
and Windows-1252 by single bytes between letters of ASCII. All others must be said.

In each of them a byte of ASCII that ends a line or a cell means nothing else.
"""
# ruff: noqa: RUF001

import codecs
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from pipeline.ground.errors import DataError, ParamsError
from pipeline.raw.texts.cell_paths import UTF8
from pipeline.raw.texts.lines import Lines

_SAMPLE = 2000
"""Lines that are no UTF-8 which are looked at."""

_SURE = 0.85
"""Share of characters, or of lines, from which an encoding is taken."""

_KANA_SHARE = 0.2
_ASCII = bytes(range(9, 127))
_EXAMPLES = "cp1252, cp1251, gb18030, big5, shift_jis, euc_kr"
_ODD = re.compile(r"(?<=\w)[^\x00-\x7f\w\s‘’“”–—…«»°€£§©®™´`·-](?=\w)")
"""A sign within a word, as letters of other encodings look in Windows-1252."""


def check_encoding(name: str) -> None:
    """Check that an encoding is known, and one in which ASCII is itself.

    Raises:
        ValueError: It is not; the message says what must hold.
    """
    try:
        is_fine = _ASCII.decode(name) == _ASCII.decode("ascii")
    except (LookupError, UnicodeError):
        is_fine = False
    if not is_fine:
        raise ValueError(f"must be null, or an encoding such as {_EXAMPLES}; got {name!r}")


def encoding_of(
    path: Path, name: str, given: str | None = None, *, usual: str | None = None
) -> str:
    """Return the encoding of a table of lines, as Python calls it.

    Args:
        path: A regular file.
        name: What it is called.
        given: What it is; None: it is to be found.
        usual: What tables that are no UTF-8 have here; None: their bytes tell it.

    Raises:
        DataError: It is not UTF-8, and it is not sure what it is.
        OSError: It cannot be opened.
    """
    if given is not None:
        return codecs.lookup(given).name
    first, bad = _not_utf8(path, name)
    if not bad:
        return UTF8
    found = codecs.lookup(usual).name if usual else guess(bad)
    if found is None:
        raise DataError(
            f"{path}:{first}",
            "is no UTF-8, and its encoding cannot be told by its bytes",
            remedy=f"write data.encoding, for `rootstock predict` --encoding, as {_EXAMPLES}; or "
            "save the table as UTF-8",
        )
    return found


def _not_utf8(path: Path, name: str) -> tuple[int, list[bytes]]:
    """Return lines that are no UTF-8, and the number of the first; none where most others are."""
    first, bad, fine = 0, list[bytes](), 0
    for content, place in Lines(path, name).raw():
        if content.isascii():
            continue
        if _is(content, UTF8):
            fine += 1
            continue
        first = first or place.number
        bad.append(content)
        if len(bad) == _SAMPLE:
            break
    return first, bad if len(bad) > fine else []


def guess(lines: Sequence[bytes]) -> str | None:
    """Return the encoding of lines that are no UTF-8, or None."""
    for name, share in _TESTS.items():
        if sum(_is(each, name) for each in lines) < _SURE * len(lines):
            continue
        text = b"".join(lines).decode(name, "ignore")
        if share([char for char in text if char > "\x7f"], text) >= _SURE:
            return name
    return None


def refuse_encoding(given: str | None) -> None:
    """Refuse a param that would change nothing.

    Raises:
        ParamsError: It has a value.
    """
    if given is not None:
        raise ParamsError(
            "params.yaml",
            "must be null but for tables of texts: text files must be UTF-8",
            field="data.encoding",
            got=given,
        )


def _is(content: bytes, name: str) -> bool:
    try:
        content.decode(name)
    except UnicodeDecodeError:
        return False
    return True


def _lead(char: str, name: str) -> int:
    """Return the first byte of a character of two bytes; 0 where it is no such."""
    try:
        content = char.encode(name)
    except UnicodeEncodeError:
        return 0
    return content[0] if len(content) == 2 else 0


def _japanese(chars: Sequence[str], text: str) -> float:
    """Return the share of signs of Japanese; 0 where too few of them are kana."""
    del text
    kana = sum("\u3040" <= char <= "\u30ff" for char in chars)
    own = sum("\u3000" <= char <= "\u30ff" or "\u4e00" <= char <= "\u9fff" for char in chars)
    return own / len(chars) if kana >= _KANA_SHARE * len(chars) else 0.0


def _korean(chars: Sequence[str], text: str) -> float:
    del text
    return sum("\uac00" <= char <= "\ud7a3" or char in "·…“”‘’" for char in chars) / len(chars)


def _frequent(name: str, leads: range) -> Callable[[Sequence[str], str], float]:
    """Return what gives the share of frequent signs, which the first bytes tell."""

    def share(chars: Sequence[str], text: str) -> float:
        del text
        return sum(_lead(char, name) in leads or char in _MARKS for char in chars) / len(chars)

    return share


def _western(chars: Sequence[str], text: str) -> float:
    """Return the share of characters that stand in words of letters of ASCII, or beside words."""
    runs = [len(each) for each in re.findall(r"[^\x00-\x7f]+", text)]
    alone = sum(length for length in runs if length <= 2)
    return (alone - len(_ODD.findall(text))) / len(chars)


_MARKS = frozenset("，。、！？：；（）《》“”‘’…—～・「」『』　１２３４５６７８９０")
_TESTS: dict[str, Callable[[Sequence[str], str], float]] = {
    "shift_jis": _japanese,
    "cp932": _japanese,
    "euc_jp": _japanese,
    "cp949": _korean,
    "big5": _frequent("big5", range(0xA4, 0xC7)),
    "gb18030": _frequent("gb2312", range(0xB0, 0xD8)),
    "cp1252": _western,
}
"""By encoding, how surely characters are of it; the surest tests first."""
