"""What a model says of a text depends on nothing but the text."""

import numpy as np
import pytest
import torch

from pipeline.compute.device import start_runtime
from pipeline.model.bundle import Predictor
from pipeline.model.network import batches_of_one_size
from pipeline.text.shelf.rows import text_row
from tests.support.tinytext import PLAIN, text_bundle, text_network


@pytest.fixture(scope="module")
def predictor():
    runtime = start_runtime(torch.device("cpu"), precision="fp32", threads=1)
    bundle = text_bundle(max_tokens=32)
    return Predictor(text_network(bundle), bundle, runtime=runtime)


@pytest.fixture(scope="module")
def rows():
    draw = np.random.default_rng(1)
    texts = [" ".join(draw.choice(PLAIN, draw.integers(0, 40))) for _ in range(37)]
    return np.stack([text_row(text, 8 * 32) for text in texts])


def test_a_text_s_outputs_are_equal_to_the_bit_in_any_order_and_company(predictor, rows):
    together = predictor.outputs(rows)
    alone = np.concatenate([predictor.outputs(row[None]) for row in rows])
    order = np.random.default_rng(2).permutation(len(rows))
    shuffled = predictor.outputs(rows[order])
    assert np.array_equal(together, alone)
    assert np.array_equal(together[order], shuffled)


def test_filling_up_changes_next_to_nothing(predictor, rows):
    filled = predictor.outputs(rows)
    with torch.inference_mode():
        mixed = predictor.network(torch.from_numpy(rows)).numpy()  # all as wide as the longest
    assert np.abs(filled - mixed).max() < 1e-5


def test_batches_have_one_size_each():
    rows, sizes = np.arange(7), np.array([1, 1, 1, 2, 4, 4, 4])
    assert [part.tolist() for part in batches_of_one_size(rows, sizes, 2)] == [
        [0, 1],
        [2],
        [3],
        [4, 5],
        [6],
    ]


def test_what_is_above_a_cut_goes_on_to_the_same_bits(predictor, rows):
    backbone = predictor.network.backbone
    with torch.inference_mode():
        tokens = backbone.prepare(predictor.bundle.normalization)(torch.from_numpy(rows))
        whole = backbone(tokens)
        cut = backbone.cut_name(0)
        filled = torch.nn.functional.pad(backbone.lower(tokens, cut), (0, 0, 0, 5))
        assert torch.equal(backbone.upper(filled, cut), whole)


def test_what_is_computed_on_tokens_alone_is_the_same_but_for_rounding(predictor, rows):
    bundle = text_bundle(max_tokens=32)
    whole, packed = text_network(bundle), text_network(bundle)
    packed.backbone.speed_up()
    found = []
    for network in (whole, packed):
        outputs = network(torch.from_numpy(rows))
        outputs.square().sum().backward()
        found.append((outputs.detach(), network.backbone.model.embeddings.word_embeddings.weight))
    torch.testing.assert_close(found[0][0], found[1][0], rtol=0, atol=1e-4)
    torch.testing.assert_close(found[0][1].grad, found[1][1].grad, rtol=1e-3, atol=1e-3)
    packed.fold()
    with torch.inference_mode():
        alone = [network(torch.from_numpy(rows[:1])) for network in (whole, packed)]
    assert torch.equal(*alone)
