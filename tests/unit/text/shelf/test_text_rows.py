"""A text becomes a row of UTF-8, and its tokens are counted as the network reads them."""

import logging

import numpy as np
import pytest
import torch

from pipeline.modality.types.protocols import Weights
from pipeline.text.shelf.encoder import ENCODER
from pipeline.text.shelf.params import TextNormalizeParams, TextSpec
from pipeline.text.shelf.rows import clean_text, row_text, text_row
from pipeline.text.shelf.scaling import SCALING
from pipeline.text.shelf.tokens import TENSOR, Tokenizer
from pipeline.weights.tensors import save_tensors
from tests.support.tinytext import tokenizer_file

FILE = torch.frombuffer(bytearray(tokenizer_file()), dtype=torch.uint8)


def tokenizer():
    found = Tokenizer()
    found.load_state_dict({"file": FILE})
    return found


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("  a \t b\r\n\u0085\u2028c ", "a b c"),
        ("a\0b\x1fc\x7f", "a b c"),
        ("cafe\u0301", "café"),
        ("A \u200fb😀", "A \u200fb😀"),
        (" \n ", ""),
    ],
    ids=["blanks", "control characters", "composed", "marks and emoji stay", "nothing"],
)
def test_a_text_is_composed_and_its_blanks_are_single(text, clean):
    assert clean_text(text) == clean


@pytest.mark.parametrize("length", [1, 2, 3, 4, 5, 9, 16])
def test_a_row_is_cut_at_a_character_and_filled_up_with_zeros(length):
    text = "aé好😀b"
    row = text_row(text, length)
    assert (row.shape, row.dtype) == ((length,), np.uint8)
    kept = row_text(row)
    assert text.startswith(kept)
    more = text[: len(kept) + 1]
    assert kept == text or len(more.encode()) > length


def test_the_encoder_says_where_bytes_are_no_text():
    assert ENCODER.encode(b"ab\xff", [TextSpec(8)]) == "not UTF-8 at byte 2"
    marked, plain = ENCODER.encode("\ufeffa".encode(), [TextSpec(8), TextSpec(16)])
    assert (row_text(marked), len(marked), len(plain)) == ("a", 64, 128)


def test_tokens_end_with_the_mark_however_long_the_text_is():
    read = tokenizer().read
    whole = read("the book is good", 512)
    assert len(whole) == 6
    assert read("the book is good", 4) == [*whole[:3], whole[-1]]
    assert read("", 4) == [whole[0], whole[-1]]


def test_a_batch_is_as_wide_as_its_longest_text_in_steps_of_eight():
    rows = [text_row(each, 8 * 16) for each in ("good", "it is a very good book it is", "")]
    found = tokenizer()(torch.from_numpy(np.stack(rows)))
    assert (found.shape, found.dtype) == ((3, 16), torch.int64)
    assert found.ne(0).sum(dim=1).tolist() == [3, 10, 2]
    assert tokenizer()(torch.from_numpy(rows[0][None])).shape == (1, 8)


class InMemory:
    """Rows of a split each, as a Scaling reads them."""

    def __init__(self, **texts):
        self.texts = [text for each in texts.values() for text in each]
        self.splits = [split for split, each in texts.items() for _ in each]

    def rows(self, split):
        return np.flatnonzero(np.array(self.splits) == split)

    def read(self, rows):
        return np.stack([text_row(clean_text(self.texts[row]), 8 * 8) for row in rows])


def test_what_is_cut_off_and_unknown_is_counted_and_told(tmp_path, caplog):
    weights = Weights(tmp_path / "backbone.safetensors", tmp_path / "backbone.json")
    save_tensors(weights.backbone, {TENSOR: FILE}, {})
    store = InMemory(
        train=["good", "it is a very good book and it works", "x " * 60],
        val=["好 好 好"],
        test=["it is a very fine phone and it is great " * 3] * 2,
    )
    params = TextNormalizeParams(mode="none", drift_warn=0.25)
    with caplog.at_level(logging.INFO):
        found = SCALING.fit(store, params, weights=weights, plots=tmp_path)
    train = found["splits"]["train"]
    assert (train["items"], train["cut_off"], train["median_tokens"]) == (3, 2, 11)
    assert found["splits"]["val"]["unknown_share"] == pytest.approx(3 / 5)
    assert found["splits"]["test"]["cut_off"] == 2
    assert "4 of 6 texts are longer" in caplog.text
    assert "tokens of val are unknown" in caplog.text
    assert {path.name for path in tmp_path.glob("*.png")} == {"before.png", "after.png"}
