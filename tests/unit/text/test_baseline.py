"""TF-IDF answers from what train says, in any script, and from nothing else."""

from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from pipeline.modality.types.protocols import Known
from pipeline.text.baseline import BASELINE, analyzers

WIDTH = 64
GOOD = ["a good film", "good fun", "so good and warm", "what a good cast", "good good"]
BAD = ["a bad film", "bad fun", "so bad and cold", "what a bad cast", "bad bad"]


def store(train, asked, *, weights=None, groups=None, val=()):
    """Hold texts as rows: train, then val, then test."""
    texts = [*train, *val, *asked]
    rows = np.zeros((len(texts), WIDTH), dtype=np.uint8)
    for row, text in zip(rows, texts, strict=True):
        content = text.encode()
        row[: len(content)] = np.frombuffer(content, dtype=np.uint8)
    splits = ["train"] * len(train) + ["val"] * len(val) + ["test"] * len(asked)
    names = [f"{number:08d}" for number in range(len(texts))]
    index = pd.DataFrame({"path": names, "id": names, "split": splits, "weight": 1.0})
    index["group"] = pd.Series(groups, dtype=object) if groups else None
    if weights is not None:
        index.loc[: len(train) - 1, "weight"] = weights
    return SimpleNamespace(
        index=index,
        rows=lambda split: np.flatnonzero(index["split"] == split),
        read=rows.__getitem__,
    )


def answers(train, targets, asked, *, classes=2, seed=1, **options):
    shelf = store(train, asked, **options)
    known = Known(shelf.rows("train"), np.array(targets))
    return BASELINE.answers(shelf, known, shelf.rows("test"), classes=classes, seed=seed)


def opinions(asked, **options):
    return answers([*GOOD, *BAD], [1] * 5 + [0] * 5, asked, **options)


def test_words_decide_and_chances_sum_to_one():
    found = opinions(["a good book", "a bad book"])
    assert found.shape == (2, 2)
    assert found.argmax(axis=1).tolist() == [1, 0]
    assert found.sum(axis=1) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("I am 5!", ["i", "am", "5", "!"]),
        ("C++ or C?", ["c", "+", "+", "or", "c", "?"]),
        ("很好吃 OK", ["很", "好", "吃", "ok"]),
        ("ดีมาก", list("ดีมาก")),
        ("カレー😀", ["カ", "レ", "ー", "😀"]),
        ("한국어 좋아", ["한국어", "좋아"]),
    ],
    ids=["one letter", "signs", "Han", "Thai", "kana", "Hangul"],
)
def test_a_sign_a_letter_and_an_unspaced_character_are_words(text, words):
    pairs = [" ".join(pair) for pair in pairwise(words)]
    assert analyzers()[0](text) == [*words, *pairs]


def test_one_character_inside_a_text_without_blanks_decides():
    train = ["这家店的菜好极了", "服务好", "味道好又快", "这家店的菜差极了", "服务差", "味道差又慢"]
    found = answers(train, [1, 1, 1, 0, 0, 0], ["送餐好", "送餐差"])
    assert found.argmax(axis=1).tolist() == [1, 0]


def test_several_classes_one_of_them_without_a_text_in_train():
    train = ["who is he", "who was she", "who ran", "when is it", "when was it", "when ran it"]
    asked = ["who sat", "when sat it"]
    found = answers([*train, "why so", "why not"], [0, 0, 0, 2, 2, 2, 3, 3], asked, classes=4)
    assert found.argmax(axis=1).tolist() == [0, 2]
    assert found.sum(axis=1) == pytest.approx(1.0)
    assert (found[:, 1] == 0.0).all()


def test_values_are_in_their_own_unit_wherever_zero_lies():
    generator = np.random.default_rng(0)
    counts = generator.integers(0, 4, size=(200, 2))
    texts = [" ".join(["up"] * up + ["down"] * down + ["still"]) for up, down in counts]
    targets = counts[:, 0] - counts[:, 1] + 0.0
    found, moved = (
        answers(texts[:150], targets[:150] + offset, texts[150:], classes=0)
        for offset in (0.0, 1000.0)
    )
    assert found.shape == (50, 1)
    assert np.corrcoef(found[:, 0], targets[150:])[0, 1] > 0.9
    assert moved == pytest.approx(found + 1000.0, abs=1e-2)


@pytest.mark.parametrize("classes", [2, 0], ids=["classes", "values"])
def test_weights_decide_between_texts_that_say_the_same(classes):
    train, targets = ["it rains"] * 8 + ["it shines"] * 2, [0, 0, 0, 0, 1, 1, 1, 1, 0, 1]
    targets = targets if classes else [float(each) for each in targets]
    light, heavy = (
        answers(
            train, targets, ["it rains"], classes=classes, weights=[1] * 4 + [weight] * 4 + [1] * 2
        )
        for weight in (0.1, 10)
    )
    assert light[0, -1] < 0.4 < 0.6 < heavy[0, -1]


def test_a_text_of_weight_zero_is_as_if_it_were_not_there():
    train, targets = [*GOOD, *BAD], [1] * 5 + [0] * 5
    without = answers(train, targets, ["a good book"])
    with_it = answers([*train, "good book"], [*targets, 0], ["a good book"], weights=[1] * 10 + [0])
    assert with_it.tobytes() == without.tobytes()


def test_words_that_train_lacks_do_not_matter():
    alone, longer = opinions(["a good book", "a good book qqqqq"])
    assert alone.tolist() == longer.tolist()
    assert opinions(["a good book", "zzz zzz"])[0].tolist() == alone.tolist()


def test_validation_is_not_read():
    plain = opinions(["a good book"])
    assert opinions(["a good book"], val=["good book", "book"]).tobytes() == plain.tobytes()


def test_the_strength_is_chosen_on_whole_groups():
    """Copies in other folds would choose the weakest penalty, and answer too surely."""
    noise = np.random.default_rng(3)
    texts = [" ".join(f"w{number}" for number in noise.integers(0, 30, 6)) for _ in range(40)]
    train, targets = np.repeat(texts, 4).tolist(), np.repeat(noise.integers(0, 2, 40), 4)
    groups = [*np.repeat([f"g{number}" for number in range(40)], 4).tolist(), None]
    apart = answers(train, targets, texts[:1])
    together = answers(train, targets, texts[:1], groups=groups)
    assert together.max() < apart.max()


def test_the_same_texts_give_the_same_bytes():
    assert opinions(["a good book", ""]).tobytes() == opinions(["a good book", ""]).tobytes()


@pytest.mark.parametrize("classes", [2, 3, 0])
def test_an_empty_text_has_an_answer(classes):
    found = answers([*GOOD, *BAD, ""], [1] * 5 + [0] * 6, [""], classes=classes)
    assert np.isfinite(found).all()
    assert not classes or found.sum() == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("train", "targets", "chances"),
    [(["one"], [1], [0.0, 1.0]), (["", ""], [0, 0], [1.0, 0.0]), (["a", "b"], [0, 1], None)],
    ids=["one text", "empty texts of one class", "no word twice"],
)
def test_a_train_split_of_nearly_nothing_has_answers(train, targets, chances):
    found = answers(train, targets, ["a one"])[0]
    assert found.sum() == pytest.approx(1.0)
    assert chances is None or found.tolist() == chances
