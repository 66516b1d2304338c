"""The file beside an export that its tokenizer is made of: plain Python reads it where it can.

Which characters count as what is asked of the package `tokenizers`, whose tables are of another
version of Unicode than Python's, and written down.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Any

from tokenizers import Regex, normalizers, pre_tokenizers
from tokenizers import Tokenizer as Read

from pipeline.text.export.library import Library
from pipeline.text.export.wordpiece import WordPiece
from pipeline.text.export.words import Words
from pipeline.text.net.multilingual.pieces import Pieces
from pipeline.text.net.words import vocabulary
from pipeline.text.shelf.tokens import Tokenizer

_CODES = (range(0x20, 0xD800), range(0xE000, 0x40000), range(0xE0000, 0x110000))
"""All but surrogates, and planes that are empty."""

_SET = re.compile(r"\[\[[^\]]*\]&&\[[^\]]*\]\]|\[\^\\s[^\]]*\]|\\p\{\w+\}")
"""Of a pattern: a set of characters that Python's patterns cannot name."""


@dataclass(frozen=True)
class TokenFile:
    """What a tokenizer is made of.

    Attributes:
        name: Of the file.
        content: Of it.
        reader: The class that reads it.
        code: The Python that makes one of a folder `HERE`.
        packages: That it needs.
    """

    name: str
    content: bytes
    reader: type[WordPiece | Words | Library]
    code: str
    packages: tuple[str, ...]


def token_file(tokenizer: Tokenizer) -> TokenFile:
    """Return the file for a tokenizer: in plain form where that is known, else as it is."""
    content = tokenizer.file.numpy().tobytes()
    made, unknown = json.loads(content), "kept"
    reader: type[WordPiece | Words] = WordPiece
    record = None
    if isinstance(tokenizer, vocabulary.Words):
        record, reader, unknown = _words(made), Words, "dropped"
    elif isinstance(tokenizer, Pieces):
        unknown = "spread"
    else:
        record = _word_pieces(made, Read.from_str(content.decode()))
    if record is None:
        code = f'Library(HERE / "tokenizer.json", "{unknown}")'
        return TokenFile("tokenizer.json", content, Library, code, ("tokenizers",))
    written = json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode()
    return TokenFile("tokens.json", written, reader, f'{reader.__name__}(HERE / "tokens.json")', ())


def _word_pieces(made: Mapping[str, Any], read: Read) -> dict[str, Any] | None:
    model, normalizer = made["model"], made["normalizer"] or {}
    flags = ("single_word", "lstrip", "rstrip", "normalized")
    is_known = (
        model.get("type") == "WordPiece"
        and normalizer.get("type") == "BertNormalizer"
        and made["pre_tokenizer"] == {"type": "BertPreTokenizer"}
        and not any(each[flag] for each in made["added_tokens"] for flag in flags)
    )
    if not is_known:
        return None
    read.no_padding()
    read.no_truncation()
    inside = read.encode("a", add_special_tokens=False).ids
    whole = read.encode("a").ids
    begin = next(at for at in range(len(whole)) if whole[at : at + len(inside)] == inside)
    strips = normalizer["strip_accents"]
    marks = {each["content"]: each["id"] for each in made["added_tokens"]}
    return {
        "numbers": model["vocab"],
        "marks": dict(sorted(marks.items(), key=lambda each: -len(each[0]))),
        "begin": whole[:begin],
        "end": whole[begin + len(inside) :],
        "unknown": model["vocab"][model["unk_token"]],
        "prefix": model["continuing_subword_prefix"],
        "longest": model["max_input_chars_per_word"],
        "lower": normalizer["lowercase"],
        "strip": normalizer["lowercase"] if strips is None else strips,
        "dropped": _changed("clean_text", "") if normalizer["clean_text"] else "",
        "accents": _changed("strip_accents", ""),
        "ideographs": _changed("handle_chinese_chars", " {} ")
        if normalizer["handle_chinese_chars"]
        else "",
        "apart": _apart(),
    }


def _words(made: Mapping[str, Any]) -> dict[str, Any] | None:
    model, parted = made["model"], made["pre_tokenizer"]
    steps = made["normalizer"]["normalizers"]
    replaced = {each["pattern"]["String"]: each["content"] for each in steps if "pattern" in each}
    others = [each["type"] for each in steps if "pattern" not in each]
    pattern = _SET.sub(lambda found: f"[{_matched(found[0])}]", parted["pattern"]["Regex"])
    pattern = pattern.replace(
        r"\b", rf"(?![{_matched(chr(92) + 'w')}])"
    )  # each stands after a word
    is_known = model["type"] == "WordLevel" and others in ([], ["Lowercase"])
    if not is_known or re.search(r"&&|\\p", pattern):
        return None
    numbers = {word: row for word, row in model["vocab"].items() if row >= vocabulary.FIRST}
    return {
        "numbers": numbers,
        "replaced": replaced,
        "lower": others == ["Lowercase"],
        "pattern": pattern,
    }


@cache
def _characters() -> str:
    return "".join(chr(code) for codes in _CODES for code in codes)


@cache
def _changed(option: str, form: str) -> str:
    """Return the characters to which BERT's normalizer does this by an option."""
    options = dict.fromkeys(
        ("clean_text", "handle_chinese_chars", "strip_accents", "lowercase"), False
    )
    normalizer = normalizers.BertNormalizer(**options | {option: True})
    between = "_"  # no character is decomposed into one with it
    chars = _characters().replace(between, "")
    found = normalizer.normalize_str(between.join(chars)).split(between)
    return _set(char for char, each in zip(chars, found, strict=True) if each == form.format(char))


@cache
def _apart() -> str:
    """Return the characters that BERT takes for words of their own."""
    found = pre_tokenizers.BertPreTokenizer().pre_tokenize_str("a".join(_characters()))
    return _set(token for token, _ in found if len(token) == 1 and token != "a")


@cache
def _matched(pattern: str) -> str:
    """Return the characters that a pattern of one character matches."""
    split = pre_tokenizers.Split(Regex(pattern), "removed", invert=True)
    return _set(token for token, _ in split.pre_tokenize_str(_characters()))


def _set(chars: Iterable[str]) -> str:
    """Write characters as they stand in the brackets of a pattern."""
    codes = sorted(map(ord, chars))
    if not codes:
        return ""
    ends = [at for at, (one, next_one) in enumerate(pairwise(codes)) if next_one != one + 1]
    starts = [0, *(at + 1 for at in ends)]
    lasts = [*ends, len(codes) - 1]
    ranges = [(codes[start], codes[last]) for start, last in zip(starts, lasts, strict=True)]
    return "".join(f"{_code(one)}-{_code(other)}" for one, other in ranges)


def _code(code: int) -> str:
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
