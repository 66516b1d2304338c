"""A text that is longer than a network's positions is read in windows, and none of it is lost."""

import pytest
import torch

from pipeline.ground.errors import ParamsError
from pipeline.text.export.formats import WRITERS
from pipeline.text.net.base import pool_tokens
from pipeline.text.net.bert import BertShape, random_bert
from pipeline.text.net.net import NET
from pipeline.text.shelf.params import TextSpec
from pipeline.text.shelf.tokens import TENSOR, in_windows
from tests.support.text_exports import text_model
from tests.support.tinytext import tokenizer_file

SHAPE = "bert_l2_h64_a2_v200_p16"
BEGIN, END = 2, 3


def tokens(*lengths):
    """Give texts of so many words between marks, filled up: [B, T]."""
    draw = torch.Generator().manual_seed(1)
    found = [
        in_windows(
            [BEGIN, *torch.randint(5, 200, (length,), generator=draw).tolist(), END], window=16
        )
        for length in lengths
    ]
    longest = max(map(len, found))
    return torch.tensor([[*each, *[0] * (longest - len(each))] for each in found])


def test_each_window_has_both_marks_and_all_but_the_last_are_full():
    whole = [BEGIN, *range(10, 30), END]
    assert in_windows(whole, window=None) == in_windows(whole, window=22) == whole
    assert in_windows(whole, window=16) == [2, *range(10, 24), 3, 2, *range(24, 30), 3]
    assert in_windows([BEGIN, *range(10, 38), END], window=16)[-16:] == [2, *range(24, 38), 3]


@torch.no_grad()
def test_a_window_is_computed_as_a_text_of_its_own():
    model, text = random_bert(BertShape.parse(SHAPE)), tokens(30)
    found = model.upper(model.lower(text, 0), 0)
    parts = [model.upper(model.lower(each, 0), 0) for each in text.split(16, dim=1)]
    assert [each.shape[1] for each in parts] == [16, 16, 4]
    torch.testing.assert_close(found, torch.cat(parts, dim=1), rtol=1e-5, atol=1e-6)
    whole = pool_tokens(found, "mean")
    means = torch.stack([each[0].mean(0) * each.shape[1] for each in parts]).sum(0) / 36
    torch.testing.assert_close(whole[0], means, rtol=1e-5, atol=1e-6)


@torch.no_grad()
@pytest.mark.parametrize("packs", [False, True])
def test_a_short_text_beside_a_long_one_is_answered_as_alone(packs):
    model, both = random_bert(BertShape.parse(SHAPE)), tokens(30, 6)
    model.packs = packs
    found = model.upper(model.lower(both, 1), 1)
    alone = model.upper(model.lower(both[1:, :8], 1), 1)
    assert found.isfinite().all()
    assert not found[1, 8:].any()
    torch.testing.assert_close(found[1:, :8], alone, rtol=1e-5, atol=1e-6)


def test_gradients_are_finite_where_windows_of_a_text_are_empty():
    model = random_bert(BertShape.parse(SHAPE))
    model.upper(model.lower(tokens(30, 6), 0), 0).square().sum().backward()
    assert all(each.grad.isfinite().all() for each in model.parameters())


def test_activations_have_the_room_of_the_longest_text():
    backbone = NET.build(SHAPE)
    state = {TENSOR: torch.frombuffer(bytearray(tokenizer_file()), dtype=torch.uint8)}
    backbone.model.load_state_dict(backbone.model.state_dict() | state)
    spec = TextSpec(100)
    backbone.check(spec)
    numbers = backbone.read.tokenizer.read("good " * 500, spec.max_tokens)
    assert len(numbers) == 98 + 7 * 2
    assert backbone.shape_at(spec, "block1", torch.device("cpu")) == (112, 64)


@pytest.mark.parametrize("form", ["onnx", "pt2"])
def test_a_graph_of_windows_is_refused_with_the_way_out(form, tmp_path):
    bundle = text_model(tmp_path / "model", "bert_l1_h64_a2_v200_p16", decode=TextSpec(40))
    with pytest.raises(ParamsError, match=r"max_tokens: must read 16 tokens at most.*state_dict"):
        WRITERS[form](tmp_path, tmp_path / "model/model.safetensors", bundle)
