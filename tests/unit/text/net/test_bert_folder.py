"""A folder as sentence-transformers has them is a source of weights, if it is a BERT."""

import json
import shutil

import pytest
import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from pipeline.ground.errors import DataError, IntegrityError, ParamsError, PipelineError
from pipeline.text.net.bert import BertShape, random_bert
from pipeline.weights.params import WeightsParams
from pipeline.weights.weights import fetch_weights

NAME = "bert_l1_h8_a2_v7_p16"
WORDS = {"[PAD]": 0, "[UNK]": 1, "[CLS]": 2, "[SEP]": 3, "a": 4, "good": 5, "day": 6}
CONFIG = {
    "model_type": "bert",
    "hidden_act": "gelu",
    "num_hidden_layers": 1,
    "hidden_size": 8,
    "num_attention_heads": 2,
    "vocab_size": 7,
    "max_position_embeddings": 16,
}


@pytest.fixture
def weights(tmp_path):
    folder = tmp_path / "my-encoder"
    folder.mkdir()
    model = random_bert(BertShape.parse(NAME))
    pooler = {"pooler.dense.weight": torch.zeros(8, 8)}
    save_file(dict(model.state_dict()) | pooler, folder / "model.safetensors")
    tokenizer = Tokenizer(models.WordLevel(WORDS, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "config.json").write_text(json.dumps(CONFIG))
    return tmp_path


def fetch(folder, architecture=NAME):
    params = WeightsParams(
        source="file:my-encoder", architecture=architecture, sha256=None, key=None
    )
    return fetch_weights(params, folder, resolve_model=None)


def test_a_folder_is_read(weights):
    state, record = fetch(weights)
    assert record.source == "file:my-encoder"
    assert record.expected.license is None
    assert state["tokenizer.file"].numel()
    wanted = random_bert(BertShape.parse(NAME)).state_dict()
    assert all(torch.equal(state[name], each) for name, each in wanted.items())


def edit(weights, **changes):
    (weights / "my-encoder/config.json").write_text(json.dumps(CONFIG | changes))


def test_other_kinds_are_named(weights):
    edit(weights, model_type="mpnet")
    with pytest.raises(DataError, match=r"must be a BERT.*mpnet.*all-MiniLM-L6-v2"):
        fetch(weights)
    edit(weights, hidden_act="gelu_new")
    with pytest.raises(DataError, match=r"hidden_act: must be gelu, got 'gelu_new'"):
        fetch(weights)


def test_the_folder_says_the_name_of_the_architecture(weights):
    with pytest.raises(ParamsError, match=f"architecture: must be {NAME}, as "):
        fetch(weights, "bert_l6_h384_a12")
    edit(weights, num_attention_heads=4)
    with pytest.raises(ParamsError, match="must be bert_l1_h8_a4_v7_p16"):
        fetch(weights)


def test_a_pickled_file_alone_gets_the_remedy(weights):
    folder = weights / "my-encoder"
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(DataError, match=r"no such file.*safetensors\.torch\.save_file"):
        fetch(weights)


def test_a_folder_of_something_else_is_no_file(weights):
    shutil.rmtree(weights / "my-encoder")
    (weights / "my-encoder").mkdir()
    with pytest.raises(DataError, match="no such file"):
        fetch(weights)


BROKEN = {"config.json": "{", "tokenizer.json": '{"version": "1.0"', "model.safetensors": "x"}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_files_get_one_line(weights, name):
    (weights / "my-encoder" / name).write_text(BROKEN[name])
    with pytest.raises(PipelineError, match=name.replace(".", r"\.")) as caught:
        fetch(weights)
    assert "\n" not in str(caught.value)


def test_a_lacking_tokenizer_is_told(weights):
    (weights / "my-encoder/tokenizer.json").unlink()
    with pytest.raises(DataError, match=r"tokenizer\.json: no such file"):
        fetch(weights)


def test_the_pooling_it_was_trained_with_is_told(weights, caplog):
    (weights / "my-encoder/1_Pooling").mkdir()
    pooling = weights / "my-encoder/1_Pooling/config.json"
    pooling.write_text(
        json.dumps({"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False})
    )
    fetch(weights)
    assert "without the mean of tokens" in caplog.text


def test_damage_is_an_integrity_error(weights):
    (weights / "my-encoder/tokenizer.json").write_text("{}")
    with pytest.raises(IntegrityError, match="is no tokenizer"):
        fetch(weights)
