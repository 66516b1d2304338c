"""Words of texts are found, weighed, checked and marked; what is planted is found again."""

import base64
from xml.etree import ElementTree

import numpy as np
import pytest
import torch

from pipeline.explain.checks import shuffle_weights
from pipeline.ground.seeds import numpy_generator
from pipeline.model.bundle import Predictor, load_network
from pipeline.text.explain.explain import EXPLAIN
from pipeline.text.explain.look import correlate
from pipeline.text.explain.marked import COLUMNS, MOST_LINES, lay_out, source
from pipeline.text.explain.occlusion import Weighed, to_rows, weigh
from pipeline.text.explain.words import find_words, without
from tests.support.tinytext import BAD, GOOD, made_texts, write_text_model


@pytest.fixture(scope="module", params=["classification", "regression"])
def folder(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    write_text_model(folder, request.param, max_tokens=24)
    return folder


@pytest.fixture(scope="module")
def predictor(folder):
    return Predictor.load(folder / "model.safetensors", folder / "bundle.json")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("It doesn't work, at all!", ["It", "doesn't", "work", ",", "at", "all", "!"]),
        ("a well-known (old) one...", ["a", "well-known", "(", "old", ")", "one", "..."]),
        ("味道很好。good", ["味", "道", "很", "好", "。", "good"]),
        ("हिन्दी में", ["हिन्दी", "में"]),
        ("\U0001f469\u200d\U0001f467 yes", ["\U0001f469\u200d\U0001f467", "yes"]),
        ("  ", []),
    ],
)
def test_words(text, words):
    assert [text[start:end] for start, end in find_words(text, 64)] == words


def test_neighbors_stand_together_where_there_are_too_many_words():
    text = " ".join("abcdefg")
    found = [text[start:end] for start, end in find_words(text, 3)]
    assert found == ["a b c", "d e f", "g"]


def test_a_text_without_some_words_has_no_gap():
    text = "one, two three"
    spans = find_words(text, 64)
    assert without(text, spans, {0, 3}) == ", two"
    assert without(text, spans, set()) == text
    assert without(text, spans, range(len(spans))) == ""


def test_the_word_of_an_opinion_weighs_most(predictor):
    texts, _ = made_texts(24)
    found = (
        weigh(predictor, to_rows(predictor, texts), np.tile([0, 1], 12))
        if predictor.bundle.classes
        else weigh(predictor, to_rows(predictor, texts))
    )
    heaviest = [each.text[slice(*each.spans[np.abs(each.weights_W).argmax()])] for each in found]
    assert sum(word in GOOD + BAD for word in heaviest) >= 20


def test_a_weight_is_what_the_answer_loses_and_depends_on_its_text_alone(predictor):
    texts, _ = made_texts(6)
    rows = to_rows(predictor, texts)
    together = weigh(predictor, rows)
    for row, found in zip(rows, together, strict=True):
        (alone,) = weigh(predictor, row[np.newaxis])
        assert np.array_equal(alone.weights_W, found.weights_W)
        outputs = predictor.predict(row[np.newaxis])[0]
        fewer = predictor.predict(to_rows(predictor, [found.without({2})]))[0]
        if predictor.bundle.classes:
            outputs, fewer = np.log(outputs), np.log(fewer)
        at = outputs.argmax()
        assert found.weights_W[2] == pytest.approx(outputs[at] - fewer[at], abs=1e-9)


def test_what_is_not_read_gets_no_weight_and_moves_nothing(predictor):
    long = " ".join(["it is good"] * 20)
    (found,) = weigh(predictor, to_rows(predictor, [long]))
    assert len(found.spans) == 22  # 24 tokens less the marks of begin and end
    assert long.startswith(found.text)


def test_another_model_gives_other_weights(folder, predictor):
    texts, _ = made_texts(16)
    rows = to_rows(predictor, texts)
    before = weigh(predictor, rows, np.zeros(16, dtype=np.int64))
    assert correlate(before[0], before[0]) == pytest.approx(1)
    found = []
    for seed in range(4):
        network = load_network(folder / "model.safetensors", predictor.bundle)
        shuffle_weights([network.head.weight], torch.Generator().manual_seed(seed))
        other = Predictor(network, predictor.bundle, runtime=predictor.runtime)
        after = weigh(other, rows, np.zeros(16, dtype=np.int64))
        found += [correlate(*each) for each in zip(before, after, strict=True)]
    assert abs(np.mean(found)) < 0.5


def test_one_text_is_explained_in_plain_values(predictor):
    row = to_rows(predictor, ["it is good, very good"])[0]
    found = EXPLAIN.one(predictor, row)
    assert found["seen"] == "it is good, very good"
    assert [found["seen"][start:end] for start, end in found["spans"]] == [
        "it",
        "is",
        "good",
        ",",
        "very",
        "good",
    ]
    assert len(found["weights"]) == 6
    assert all(type(each) is float for each in found["weights"])
    assert found.keys() >= EXPLAIN_FIELDS
    empty = EXPLAIN.one(predictor, to_rows(predictor, [""])[0])
    assert (empty["spans"], empty["weights"]) == ([], [])


EXPLAIN_FIELDS = {"seen", "spans", "weights", "method"}


def marked(text, seed=1):
    spans = find_words(text, 64)
    return Weighed(text, spans, numpy_generator(seed, "weights").normal(size=len(spans)))


@pytest.mark.parametrize(
    "text",
    [
        "a < b & c > d",
        "味道很好 " * 40,
        "x" * 200,
        "\u200f\u05e9\u05dc\u05d5\u05dd\u200e tag </text>",
        "e\u0301" * 50,
    ],
)
def test_every_line_fits_and_the_image_is_xml(text):
    lines = lay_out(marked(text))
    assert 1 <= len(lines) <= MOST_LINES
    for line in lines:
        assert all(mark.column + mark.width <= COLUMNS for mark in line)
        assert [mark.column for mark in line] == sorted(mark.column for mark in line)
    drawn = source(marked(text))
    assert drawn == source(marked(text))
    root = ElementTree.fromstring(base64.b64decode(drawn.partition(",")[2]))
    shown = "".join(each.text or "" for each in root.iter("{http://www.w3.org/2000/svg}text"))
    assert shown.replace(" ", "").removesuffix("…") in text.replace(" ", "")
