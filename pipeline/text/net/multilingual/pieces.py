"""The pieces of a SentencePiece model as a tokenizer: `tokenizer.json` in the form of the library.

A SentencePiece model is a message in the wire format of Protocol Buffers; only the fields needed
here are read. Source of the segmentation: Kudo (2018), the most likely sequence of pieces.
"""

import base64
import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from pipeline.ground.errors import IntegrityError
from pipeline.text.shelf.tokens import UNKNOWN, Tokenizer

_PADDING = "[PAD]"
_BLANK = "\u2581"
_BEGIN, _END = 2, 3
"""Numbers of the marks, which are one above those of the model: 0 is padding here."""

_PIECE, _TEXT, _SCORE = 1, 1, 2
_MAP_AT = ((3, 2), (2, 2))
"""Fields that lead to the map of characters: of models in their older and in their newer form."""


class Pieces(Tokenizer):
    """Pieces of words; each character that is not known is one, also where several follow."""

    def read(self, text: str, most: int) -> list[int]:
        """Return the numbers of a text's pieces between two marks, at most so many."""
        numbers = [number for number, _ in self._parted(text)]
        return numbers if len(numbers) <= most else [*numbers[: most - 1], numbers[-1]]

    def spans(self, text: str, most: int) -> list[tuple[int, int]]:
        """Return where in a text each piece of `read` is; (0, 0) for marks."""
        found = [place for _, place in self._parted(text)]
        return found if len(found) <= most else [*found[: most - 1], found[-1]]

    def _parted(self, text: str) -> Iterator[tuple[int, tuple[int, int]]]:
        unknown, found = self.unknown(), self.encoded(text)
        for number, piece, place in zip(found.ids, found.tokens, found.offsets, strict=True):
            for _ in range(len(piece) if number == unknown else 1):
                yield number, place


class _Model(NamedTuple):
    pieces: list[tuple[str, float]]
    """And the logarithm of how likely each is."""

    characters: bytes
    """What each character is read as, in SentencePiece's own compiled form."""


def tokenizer_file(path: Path) -> Tensor:
    """Return the bytes of a `tokenizer.json` that parts texts as a SentencePiece model does, uint8.

    Numbers are one above those of the model; 0 is padding.

    Raises:
        IntegrityError: The file is cut off, or no such model.
    """
    try:
        model = _read(path.read_bytes())
    except (IndexError, ValueError, struct.error, KeyError) as error:
        raise IntegrityError(
            path, f"truncated, or no SentencePiece model ({error})", remedy="install it again"
        ) from error
    names = [UNKNOWN, *(name for name, _ in model.pieces[1:])]
    scores = [score for _, score in model.pieces]
    vocabulary = [[_PADDING, min(scores)], *map(list, zip(names, scores, strict=True))]
    marks = {"<s>": _BEGIN, "</s>": _END}
    content: dict[str, Any] = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [],
        "normalizer": {
            "type": "Sequence",
            "normalizers": [
                {
                    "type": "Precompiled",
                    "precompiled_charsmap": base64.b64encode(model.characters).decode(),
                },
                {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "},
                {"type": "Strip", "strip_left": True, "strip_right": True},
            ],
        },
        "pre_tokenizer": {
            "type": "Metaspace",
            "replacement": _BLANK,
            "prepend_scheme": "always",
            "split": True,
        },
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [
                {"SpecialToken": {"id": "<s>", "type_id": 0}},
                {"Sequence": {"id": "A", "type_id": 0}},
                {"SpecialToken": {"id": "</s>", "type_id": 0}},
            ],
            "pair": [],
            "special_tokens": {
                name: {"id": name, "ids": [number], "tokens": [name]}
                for name, number in marks.items()
            },
        },
        "decoder": None,
        "model": {"type": "Unigram", "unk_id": 1, "vocab": vocabulary, "byte_fallback": False},
    }
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
    return torch.frombuffer(bytearray(text.encode()), dtype=torch.uint8)


def _read(content: bytes) -> _Model:
    top = list(_fields(content))
    pieces = []
    for field, value in top:
        if field == _PIECE:
            parts = dict(_fields(value))
            score = struct.unpack("<f", parts[_SCORE])[0] if _SCORE in parts else 0.0
            pieces.append((parts[_TEXT].decode(), score))
    messages = dict(top)
    for outer, inner in _MAP_AT:
        found = dict(_fields(messages.get(outer, b""))).get(inner, b"")
        if len(found) > struct.calcsize("<I") and pieces:
            return _Model(pieces, found)
    raise ValueError("it lacks pieces, or the map of characters")


def _fields(content: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the number and the bytes of each field; of plain numbers, none."""
    at = 0
    while at < len(content):
        tag, at = _number(content, at)
        kind, length = tag & 7, 0
        if kind == 0:
            _, at = _number(content, at)
        else:
            length, at = _number(content, at) if kind == 2 else ({1: 8, 5: 4}[kind], at)
        if at + length > len(content):
            raise ValueError(f"field {tag >> 3} ends beyond the file")
        yield tag >> 3, content[at : at + length]
        at += length


def _number(content: bytes, at: int) -> tuple[int, int]:
    total = shift = 0
    while True:
        byte = content[at]
        at += 1
        total |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return total, at
