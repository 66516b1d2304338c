"""Tokenizers in plain Python give what the library gives, for all characters there are."""

import random

import pytest
import torch
from tokenizers import Tokenizer as Read

from pipeline.text.export.library import Library
from pipeline.text.export.token_file import token_file
from pipeline.text.net.words.vocabulary import Words, vocabulary_file
from pipeline.text.shelf.rows import clean_text
from pipeline.text.shelf.tokens import Tokenizer
from tests.support.text_exports import WORDS
from tests.support.tinytext import tokenizer_file

_EVERY = 7
"""Of the characters, so many are passed over for one that is tried."""


def loaded(tokenizer, file):
    tokenizer.load_state_dict({"file": file})
    return tokenizer


def tokenizers():
    library = Read.from_str(tokenizer_file().decode())
    library.add_special_tokens(["[SEP]", "[MASK]"])
    library.enable_padding(length=9)
    library.enable_truncation(7)  # as published ones do; neither counts
    pieces = torch.frombuffer(bytearray(library.to_str().encode()), dtype=torch.uint8)
    upper = vocabulary_file([*WORDS, "Good"])
    return {
        "pieces": loaded(Tokenizer(), pieces),
        "words": loaded(Words(), vocabulary_file(list(WORDS))),
        "words with capitals": loaded(Words(), upper),
    }


def texts():
    draw = random.Random(1)
    codes = [*range(0x20, 0xD800), *range(0xE000, 0x32000), *range(0xE0000, 0xE0200)]
    chars = [chr(code) for code in codes[:0x3000] + codes[0x3000::_EVERY]]
    for number, char in enumerate(chars):
        word = ("good", "isn't", "u.s.", "1,000.5")[number % 4]
        at = draw.randrange(len(word) + 1)
        yield clean_text(f"{word[:at]}{char}{word[at:]} it{char} {char}")
    yield from ("", "good[SEP]x [MASK]", "x" * 100, "x" * 101, "it " * 300)


@pytest.mark.parametrize("name", ["pieces", "words", "words with capitals"])
def test_plain_python_reads_what_the_library_reads(tmp_path, name):
    tokenizer = tokenizers()[name]
    file = token_file(tokenizer)
    assert file.reader is not Library
    (tmp_path / file.name).write_bytes(file.content)
    reader = eval(file.code, {"HERE": tmp_path, file.reader.__name__: file.reader})
    for text in texts():
        assert reader.read(text, 12) == tokenizer.read(text, 12), ascii(text)
