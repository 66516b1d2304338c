"""BERT of any size: names, and folders and files of weights."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pipeline.ground.errors import DataError, IntegrityError, ParamsError
from pipeline.ground.files import read_json
from pipeline.modality.types.pretrained import Shapes
from pipeline.text.net.backbone import BertBackbone
from pipeline.text.net.bert import Bert, BertShape, random_bert
from pipeline.text.net.family import OfFile, find_ending
from pipeline.text.shelf.tokens import TENSOR, Tokenizer

log = logging.getLogger(__name__)

_TOKENIZER = "tokenizer.json"
_CONFIG = "config.json"
_WEIGHTS = "model.safetensors"
_PICKLED = "pytorch_model.bin"
_POOLING = "1_Pooling/config.json"
_OUTSIDE = ("pooler.", "cls.", "classifier.", "embeddings.position_ids", TENSOR)
"""Beginnings of names of tensors that are no part of the encoder."""

_FIELDS = ("num_hidden_layers", "hidden_size", "num_attention_heads", "vocab_size")
_EXPECTED = {"hidden_act": "gelu", "position_embedding_type": "absolute"}


class BertFamily(OfFile):
    """Encoders named `bert_l<layers>_h<width>_a<heads>[_v<words>][_p<positions>]`."""

    example = "bert_l6_h384_a12"

    def knows(self, architecture: str) -> bool:
        """Return whether it is such a name."""
        return BertShape.parse(architecture) is not None

    def build(self, architecture: str) -> BertBackbone:
        """Build an encoder."""
        return BertBackbone(random_bert(_shape(architecture)), architecture)

    def most_tokens(self, architecture: str) -> int:
        """Return its positions."""
        return _shape(architecture).positions

    def shapes(self, architecture: str) -> Shapes:
        """Return the tensors of an encoder."""
        with torch.device("meta"):
            state = Bert(_shape(architecture)).state_dict()
        return {name: tuple(each.shape) for name, each in state.items()}

    def is_outside(self, tensor: str) -> bool:
        """Return whether it is of the pooler, of a head, or is not trained."""
        return tensor.startswith(_OUTSIDE)

    def entry(self, folder: Path, architecture: str) -> Path | None:
        """Return the file in a folder as sentence-transformers has them.

        Raises:
            DataError: It is of another kind or shape, or has no safetensors.
        """
        if not (folder / _CONFIG).is_file():
            return None
        _check_config(folder / _CONFIG, read_json(folder / _CONFIG), architecture)
        path = folder / _WEIGHTS
        if not path.is_file():
            is_pickled = (folder / _PICKLED).is_file()
            raise DataError(
                path,
                "no such file",
                remedy=f"load {_PICKLED} where it was made, and save its tensors by "
                f"safetensors.torch.save_file"
                if is_pickled
                else "download it again",
            )
        _tell_pooling(folder)
        return path

    def beside(
        self, path: Path, tensors: Mapping[str, Tensor], architecture: str
    ) -> dict[str, Tensor]:
        """Return the tokenizer: among the tensors of our own models, else a file beside them.

        Raises:
            DataError: There is none.
            IntegrityError: It is damaged.
        """
        del architecture
        own = find_ending(tensors, TENSOR)
        if own is not None:
            return {TENSOR: own}
        file = path.with_name(_TOKENIZER)
        if not file.is_file():
            raise DataError(
                file,
                "no such file: an encoder needs the tokenizer of its weights",
                remedy=f"put {_TOKENIZER} beside {path.name}",
            )
        content = torch.frombuffer(bytearray(file.read_bytes()), dtype=torch.uint8)
        tokenizer = Tokenizer()
        tokenizer.load_state_dict({"file": content})
        try:
            tokenizer.count("a")
        except Exception as error:
            raise IntegrityError(
                file, f"is no tokenizer ({error})", remedy="download it again"
            ) from error
        return {TENSOR: content}


def looks_like(found: Shapes, *, besides: str) -> str | None:
    """Name the encoder that has these tensors, as far as their shapes tell."""
    words = found.get("embeddings.word_embeddings.weight")
    positions = found.get("embeddings.position_embeddings.weight")
    if words is None or positions is None:
        return None
    layers = len([name for name in found if name.endswith("attention.self.query.weight")])
    name = BertShape(layers, words[1], max(1, words[1] // 64), words[0], positions[0]).name
    return None if name == besides else f"{name} (the number after _a is a guess)"


def _shape(architecture: str) -> BertShape:
    shape = BertShape.parse(architecture)
    if shape is None:
        raise ValueError(architecture)
    return shape


def _check_config(path: Path, config: Mapping[str, Any], architecture: str) -> None:
    kind = config.get("model_type")
    if kind != "bert":
        raise DataError(
            path,
            "must be a BERT",
            field="model_type",
            got=kind,
            remedy="take one whose config.json says bert, as all-MiniLM-L6-v2 or bge-small; word "
            "vectors and use_multilingual are known too",
        )
    for field, wanted in _EXPECTED.items():
        if config.get(field, wanted) != wanted:
            raise DataError(path, f"must be {wanted}", field=field, got=config[field])
    try:
        layers, width, heads, words = (int(config[field]) for field in _FIELDS)
        positions = int(config["max_position_embeddings"])
    except (KeyError, TypeError, ValueError) as error:
        raise IntegrityError(path, f"is no configuration of a BERT: {error}") from error
    name = BertShape(layers, width, heads, words, positions).name
    if BertShape.parse(name) != BertShape.parse(architecture):
        raise ParamsError(
            "params.yaml",
            f"must be {name}, as {path} says",
            field="text.weights.architecture",
            got=architecture,
        )


def _tell_pooling(folder: Path) -> None:
    """Tell where the encoder was trained with another pooling than the mean."""
    file = folder / _POOLING
    if file.is_file() and not read_json(file).get("pooling_mode_mean_tokens", True):
        log.warning("weights: %s: it was trained without the mean of tokens; see features", file)
