"""Nearly equal texts are found as by comparing all with all, in less than all pairs."""
# ruff: noqa: RUF001

import numpy as np
import pytest

from pipeline.store.spill import MEMORY
from pipeline.text.read import near_search
from pipeline.text.read.near_search import TextSketches
from pipeline.text.read.plain import copy_key
from pipeline.text.read.shingles import NONE, SIZE, sketch

VOCABULARY = [f"{first}{second}" for first in ("ka", "lo", "mi", "nu") for second in "aeioubdf"]


def sketches(texts):
    keys = [copy_key(text, mask_digits=False) for text in texts]
    return TextSketches.measure([sketch(each) for each in keys], MEMORY)


def pieces(text):
    data = f" {text} ".encode()
    return {data[start : start + 5] for start in range(len(data) - 4)}


def share(one, two):
    return len(pieces(one) & pieces(two)) / len(pieces(one) | pieces(two))


def find(texts, *, correlation=0.8, kinds=None):
    found = sketches(texts)
    kinds = np.zeros(len(texts), np.int64) if kinds is None else np.asarray(kinds)
    return found.find_alike(np.arange(len(texts)), kinds, correlation=correlation)


def pairs(alike):
    return set(zip(alike.pairs["first"], alike.pairs["second"], strict=True))


def random_texts(count, seed, lengths=(3, 40)):
    """Give texts of few words, every third an altered copy of one before."""
    generator, texts = np.random.default_rng(seed), []
    for number in range(count):
        words = list(generator.choice(VOCABULARY, size=generator.integers(*lengths)))
        if number % 3 == 2:
            words = texts[generator.integers(len(texts))].split()
            words[generator.integers(len(words))] = str(generator.choice(VOCABULARY))
        texts.append(" ".join(words))
    return texts


@pytest.mark.parametrize("correlation", [0.5, 0.65, 0.8, 0.95])
def test_as_by_comparing_all_with_all(correlation):
    texts = list(dict.fromkeys(random_texts(150, 1)))
    expected = {
        (first, second): share(texts[first], texts[second])
        for first in range(len(texts))
        for second in range(first + 1, len(texts))
    }
    alike = find(texts, correlation=correlation, kinds=np.arange(len(texts)))
    found = dict(
        zip(
            zip(alike.pairs["first"], alike.pairs["second"], strict=True),
            alike.pairs["correlation"],
            strict=True,
        )
    )
    wanted = {pair: value for pair, value in expected.items() if value >= correlation}
    assert found == pytest.approx(wanted), "short texts are compared exactly"
    assert alike.crowded == alike.flat == 0
    assert correlation > 0.8 or len(wanted) > 10


def test_long_texts_are_estimated_within_the_error_that_is_told():
    generator = np.random.default_rng(3)
    words = [f"w{number:x}" for number in generator.integers(0, 1 << 30, 3000)]
    errors = []
    for start in range(0, 2000, 100):
        one, two = " ".join(words[start:]), " ".join(words[start + 40 : start + 800])
        one = " ".join(words[start : start + 800])
        found = sketches([one, two])
        assert list(found.sizes) == [SIZE, SIZE]
        errors.append(found.likeness(0, np.array([1]))[0] - share(one, two))
    assert abs(np.mean(errors)) < 0.015
    assert np.std(errors) < 0.03


def test_a_long_text_and_a_shorter_one_meet():
    words = [f"w{number * 7919:x}" for number in range(70)]
    one, two = " ".join(words), " ".join(words[:60])
    assert sketches([one, two]).sizes[0] == SIZE
    assert pairs(find([one, two, "quite another text"])) == {(0, 1)}


def test_signs_of_han():
    texts = [
        "送餐速度太慢了，两个小时才送到！",
        "送餐速度太慢了,两个小时才送到",
        "味道不错，很好吃",
    ]
    assert pairs(find(texts)) == {(0, 1)}
    assert find(texts).pairs["correlation"].tolist() == [1.0]


def test_equal_sketches_of_one_kind_hang_on_the_first_and_kinds_still_meet():
    alike = find(["so good!", "so good.", "so good", "so bad"], kinds=[0, 0, 1, 0])
    assert pairs(alike) == {(0, 1), (0, 2)}


def test_many_alike_stay_connected_within_their_kind_without_all_pairs():
    base = "the parcel with the number is on its way and will be at your door at noon"
    texts = [f"{base} {number:04}" for number in range(600)]
    kinds = np.arange(600) % 2
    alike = find(texts, kinds=kinds)
    assert alike.crowded > 400
    assert len(alike.pairs) < 60_000
    group = list(range(600))

    def top(number):
        while group[number] != number:
            number = group[number]
        return number

    for first, second in pairs(alike):
        if kinds[first] == kinds[second]:
            group[top(second)] = top(first)
    assert len({top(number) for number in range(600)}) == 2


def test_a_search_that_is_cut_short_says_so(monkeypatch):
    monkeypatch.setattr(near_search, "MOST_CANDIDATES", 1)
    alike = find([f"one two three four five {each}" for each in "abcdefgh"])
    assert alike.crowded > 0


def test_nothing_to_compare():
    nothing = TextSketches.measure([NONE, NONE, sketch("good")], MEMORY)
    alike = nothing.find_alike(np.arange(3), np.zeros(3, np.int64), correlation=0.8)
    assert alike.flat == 2
    assert alike.pairs.empty
    none = TextSketches.measure([], MEMORY)
    assert none.find_alike(np.arange(0), np.arange(0), correlation=0.8).pairs.empty


def test_punctuation_alone_is_compared_too():
    assert pairs(find([":-)", ":-(", ":-)"], kinds=[0, 0, 1])) == {(0, 2)}
