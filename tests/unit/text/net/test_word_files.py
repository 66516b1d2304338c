"""Files of word vectors that people bring: every form gives the same, and bad ones one line."""

import numpy as np
import pytest
import torch

from pipeline.ground.errors import DataError, IntegrityError, ParamsError, PipelineError
from pipeline.modality.nets import net
from pipeline.model.bundle import save_model
from pipeline.model.head import Head
from pipeline.model.network import Network
from pipeline.text.shelf.normalization import TextNormalization
from pipeline.text.shelf.rows import text_row
from pipeline.weights.params import WeightsParams
from pipeline.weights.weights import fetch_weights, load_backbone, save_backbone
from tests.support.tinytext import text_bundle

WORDS = ["the", "cat", "sat", "n't", "外", "café"]
VECTORS = np.arange(24, dtype=np.float32).reshape(6, 4) / 8 - 1


def lines(words=WORDS, vectors=VECTORS):
    return [
        f"{word} {' '.join(map(str, each.tolist()))}"
        for word, each in zip(words, vectors, strict=True)
    ]


def write_glove(path):
    path.write_text("\n".join(lines()) + "\n")


def write_vec(path):
    path.write_text("\n".join(["6 4", *(f"{each} " for each in lines())]) + "\n")


def write_binary(path, words=WORDS, end=b"\n"):
    content = b"6 4\n"
    for word, each in zip(words, VECTORS, strict=True):
        content += word.encode() + b" " + each.astype("<f4").tobytes() + end
    path.write_bytes(content)


def write_array(path, dtype=np.float32):
    np.save(path, VECTORS.astype(dtype))
    path.with_suffix(".vocab.txt").write_text("\n".join(WORDS) + "\n")


def fetch(folder, name, architecture="vectors_4d"):
    params = WeightsParams(source=f"file:{name}", architecture=architecture, sha256=None, key=None)
    return fetch_weights(params, folder, resolve_model=None)


def built(state, architecture="vectors_4d"):
    backbone = net("text").build(architecture)
    backbone.model.load_state_dict(state)
    return backbone.eval()


def pooled(backbone, texts, *, mode="none", pooling="mean", length=64):
    prepare = backbone.prepare(TextNormalization(mode))
    rows = torch.from_numpy(np.stack([text_row(each, length) for each in texts]))
    with torch.no_grad():
        return backbone.pooled(prepare(rows), pooling).numpy()


FORMS = {
    "glove.txt": write_glove,
    "word2vec.txt": write_vec,
    "fast.vec": write_vec,
    "word2vec.bin": write_binary,
    "words.npy": write_array,
    "halves.npy": lambda path: write_array(path, np.float16),
}


@pytest.mark.parametrize("name", FORMS)
def test_every_form_gives_the_same_vectors(tmp_path, name):
    FORMS[name](tmp_path / name)
    state, record = fetch(tmp_path, name)
    found = pooled(built(state), ["The CAT", "didn't", "外", "unknown"])
    np.testing.assert_array_equal(
        found, [VECTORS[:2].mean(axis=0), VECTORS[3], VECTORS[4], np.zeros(4)]
    )
    assert record.num_parameters == 8 * 4


def test_word2vec_without_newlines_between_words_is_read(tmp_path):
    write_binary(tmp_path / "v.bin", end=b"")
    assert fetch(tmp_path, "v.bin")[0]["table.weight"].shape == (8, 4)


def test_words_with_blanks_and_upper_case_are_read(tmp_path):
    words = ["The", "the", ". . .", "it's", "[UNK]", "x"]
    (tmp_path / "v.txt").write_text("\n".join(lines(words)) + "\n")
    backbone = built(fetch(tmp_path, "v.txt")[0])
    np.testing.assert_array_equal(
        pooled(backbone, ["The", "the", "it\u2019s", "X"]), [*VECTORS[[0, 1, 3]], np.zeros(4)]
    )
    assert len(backbone.model.table) == 7, "two rows, and five words: one has the name of a mark"


def test_rare_words_are_read_and_not_trained(tmp_path, monkeypatch):
    monkeypatch.setattr("pipeline.text.net.words.forms.COMMON", 4)
    write_glove(tmp_path / "v.txt")
    state, record = fetch(tmp_path, "v.txt", "cnn_4d")
    save_backbone(tmp_path / "b", tmp_path / "r", state=state, facts=record)
    backbone, _ = load_backbone(tmp_path / "b", tmp_path / "r", "text")
    assert backbone.model.table.weight.shape == (4, 4)
    rows = torch.from_numpy(text_row("cat sat 外", 64)[None])
    tokens = backbone.prepare(TextNormalization("none"))(rows)
    np.testing.assert_array_equal(
        backbone.lower(tokens, "filters")[0, :3].detach(), VECTORS[[1, 2, 4]]
    )
    backbone.pooled(tokens, "mean").sum().backward()
    grad = backbone.model.table.weight.grad
    assert grad[3].any(), "`cat` is common"
    assert not grad[[0, 1, 2]].any(), "nothing else was read"


BAD = {
    "cut.txt": (lambda path: path.write_text("the 1 2 3 4\ncat 1 2"), "line 2.*download"),
    "wide.txt": (lambda path: path.write_text("the 1 2 3 4 5\n"), "vectors_5d"),
    "wide.vec": (lambda path: path.write_text("1 5\nthe 1 2 3 4 5\n"), "vectors_5d"),
    "short.vec": (lambda path: path.write_text("3 4\nthe 1 2 3 4\n"), "1 of 3 words"),
    "nan.txt": (lambda path: path.write_text("the 1 2 nan 4\n"), "word 1, 'the'.*finite"),
    "twice.txt": (
        lambda path: path.write_text("the 1 2 3 4\na 1 2 3 4\nthe 1 2 3 4\n"),
        "word 3.*'the' is word 1",
    ),
    "latin.txt": (lambda path: path.write_bytes(b"caf\xe9 1 2 3 4\n"), "line 1.*UTF-8"),
    "text.txt": (lambda path: path.write_text("hello there\n"), "line 1"),
    "empty.txt": (lambda path: path.write_text(""), "is empty"),
    "cut.bin": (lambda path: path.write_bytes(b"6 4\nthe " + bytes(16)), "truncated"),
    "wide.bin": (lambda path: path.write_bytes(b"1 5\nthe " + bytes(20)), "vectors_5d"),
    "alone.npy": (lambda path: np.save(path, VECTORS), "alone.vocab.txt.*no such file"),
    "cut.npy": (lambda path: path.write_bytes(b"\x93NUMPY\x01\x00"), "truncated"),
    "objects.npy": (
        lambda path: np.save(path, np.array([{}], dtype=object), allow_pickle=True),
        "no array of numbers",
    ),
    "page.bin": (lambda path: path.write_text("<html><body>no</body></html>"), "HTML"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_gets_one_line(tmp_path, name):
    write, told = BAD[name]
    write(tmp_path / name)
    with pytest.raises(PipelineError, match=told) as caught:
        fetch(tmp_path, name)
    assert isinstance(caught.value, DataError | IntegrityError | ParamsError)
    assert "\n" not in str(caught.value)
    assert name.split(".")[0] in str(caught.value)


def test_weights_of_something_else_are_no_word_vectors(tmp_path):
    torch.save({"table": torch.zeros(3, 4)}, tmp_path / "v.pt")
    with pytest.raises(DataError, match="must hold word vectors for vectors_4d"):
        fetch(tmp_path, "v.pt")


def test_there_is_no_random_start():
    params = WeightsParams(source="none", architecture="cnn_4d", sha256=None, key=None)
    with pytest.raises(ParamsError, match="must not be none for texts"):
        fetch_weights(params, None, resolve_model=None)


def test_a_trained_model_is_a_file_of_weights_too(tmp_path):
    write_glove(tmp_path / "v.txt")
    state, record = fetch(tmp_path, "v.txt", "cnn_4d")
    assert record.to_dict()["random_start"] == ["filters"]
    state["filters.windows.0.bias"] += 1
    torch.save({f"backbone.model.{name}": each for name, each in state.items()}, tmp_path / "m.pt")
    again, _ = fetch(tmp_path, "m.pt", "cnn_4d")
    assert all(torch.equal(each, state[name]) for name, each in again.items())


def test_filters_of_a_trained_model_do_not_start_at_random(tmp_path):
    write_glove(tmp_path / "v.txt")
    backbone = built(fetch(tmp_path, "v.txt", "cnn_4d")[0], "cnn_4d")
    normalization = TextNormalization("none")
    network = Network(
        backbone, Head(304, 2, dropout=0.0), normalization=normalization, pooling="mean"
    )
    save_model(tmp_path / "model.safetensors", network, text_bundle())
    again, record = fetch(tmp_path, "model.safetensors", "cnn_4d")
    assert record.to_dict()["random_start"] == []
    assert torch.equal(again["table.weight"], backbone.model.table.weight)


def test_frequent_words_count_less_by_their_rank(tmp_path):
    write_glove(tmp_path / "v.txt")
    backbone = built(fetch(tmp_path, "v.txt")[0])
    shares = 1 / np.arange(1, 7) / (1 / np.arange(1, 7)).sum()
    weights = (1e-3 / (1e-3 + shares)).astype(np.float32)
    wanted = (weights[:2, None] * VECTORS[:2]).sum(axis=0) / 2
    assert pooled(backbone, ["the cat"], mode="sif")[0] == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize("architecture", ["vectors_4d", "cnn_4d"])
@pytest.mark.parametrize("pooling", ["mean", "max", "mean+max"])
def test_neither_padding_nor_batch_mates_change_features(tmp_path, architecture, pooling):
    write_glove(tmp_path / "v.txt")
    backbone = built(fetch(tmp_path, "v.txt", architecture)[0], architecture)
    texts = ["cat", "the cat sat", "sat the " * 9, "nothing", "cat the"]
    together = pooled(backbone, texts, pooling=pooling, length=512)
    alone = np.concatenate(
        [pooled(backbone, [each], pooling=pooling, length=512) for each in texts]
    )
    assert together.shape[1] == backbone.pooled_dim(pooling)
    assert np.abs(together - alone).max() < 1e-5
    reverse = pooled(backbone, texts[::-1], pooling=pooling, length=512)
    assert np.abs(together - reverse[::-1]).max() < 1e-5
    is_kim = architecture == "cnn_4d"
    if is_kim or pooling == "max":
        assert (np.abs(together[1] - together[0]) > 1e-3).any()
    assert (np.abs(together[1] - together[4]) > 1e-3).any()


def test_filters_see_the_order_of_words_and_both_ends(tmp_path):
    write_glove(tmp_path / "v.txt")
    backbone = built(fetch(tmp_path, "v.txt", "cnn_4d")[0], "cnn_4d")
    one, other = pooled(backbone, ["the cat sat", "sat cat the"])
    assert (np.abs(one - other)[:300] > 1e-3).any()
    assert one[300:] == pytest.approx(VECTORS[:3].mean(axis=0))
    table, filters = VECTORS[:3].T, backbone.model.filters.windows[0]
    wide = np.pad(table, ((0, 0), (2, 2)))
    maps = [
        (filters.weight.detach().numpy() * wide[None, :, at : at + 3]).sum(axis=(1, 2))
        for at in range(5)
    ]
    wanted = np.maximum(np.max(maps, axis=0) + filters.bias.detach().numpy(), 0)
    assert one[:100] == pytest.approx(wanted, abs=1e-5)


def test_above_the_cut_is_what_the_whole_gives(tmp_path):
    write_glove(tmp_path / "v.txt")
    backbone = built(fetch(tmp_path, "v.txt", "cnn_4d")[0], "cnn_4d")
    rows = torch.from_numpy(np.stack([text_row(each, 512) for each in ("the cat", "sat " * 20)]))
    tokens = backbone.prepare(TextNormalization("none"))(rows)
    values = backbone.lower(tokens, backbone.cut_name(-1))
    filled = torch.nn.functional.pad(values, (0, 0, 0, 40))
    assert torch.equal(backbone.upper(filled, "filters"), backbone(tokens))
    assert len(backbone.groups("filters")) == 1
    assert len(backbone.groups(None)) == 2


def test_what_an_architecture_lacks_is_refused(tmp_path):
    write_glove(tmp_path / "v.txt")
    vectors = built(fetch(tmp_path, "v.txt")[0])
    with pytest.raises(ParamsError, match="must be none: vectors_4d has no steps"):
        vectors.cut_name(0)
    with pytest.raises(ParamsError, match="must be none for cnn_4d"):
        net("text").build("cnn_4d").prepare(TextNormalization("sif"))
    assert "start at random" in net("text").doubt(None, "cnn_4d", input_size=()).text
    assert net("text").doubt(None, "vectors_4d", input_size=()) is None
