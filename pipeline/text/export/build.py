"""From a trained network to a module that stands alone, and the Python that makes it."""

from dataclasses import dataclass
from typing import Any

from torch import nn

from pipeline.export.answers import answer_arguments, fill_classifier
from pipeline.export.program import literal
from pipeline.model.bundle import Bundle
from pipeline.model.network import Network
from pipeline.text.export.modules import (
    BertFeatures,
    FilterFeatures,
    SentenceFeatures,
    TextModel,
    VectorFeatures,
)
from pipeline.text.net.backbone import BertBackbone
from pipeline.text.net.bert import BertShape
from pipeline.text.net.multilingual.backbone import MultilingualBackbone
from pipeline.text.net.words.cnn import CnnBackbone
from pipeline.text.net.words.vectors import VectorsBackbone


@dataclass(frozen=True)
class Built:
    """A model from tokens to answers.

    Attributes:
        model: In eval mode.
        code: Lines of Python that make one without its tensors, by the name `MODEL`.
        classes: That these lines need.
    """

    model: TextModel
    code: str
    classes: tuple[Any, ...]


def build_text_model(network: Network, bundle: Bundle) -> Built:
    """Take a network apart; the result shares its tensors, and has no tokenizer."""
    encoder, made, classes = _encoder(network)
    del network.backbone.model.tokenizer
    arguments = answer_arguments(bundle)
    model = TextModel(encoder, network.dim, bundle.num_outputs, **arguments)
    fill_classifier(model.classifier, network.head)
    named = "".join(f"    {name}={literal(value)},\n" for name, value in arguments.items())
    code = (
        f"MODEL = TextModel(\n    {made},\n    {network.dim},\n    {bundle.num_outputs},\n"
        f"{named}).eval()\n"
    )
    return Built(model.eval().requires_grad_(requires_grad=False), code, (*classes, TextModel))


def _encoder(network: Network) -> tuple[nn.Module, str, tuple[Any, ...]]:
    """Return the module, the expression that makes it, and the classes in that."""
    backbone, pooling = network.backbone, literal(network.pooling)
    if isinstance(backbone, BertBackbone):
        shape = f"BertShape.parse({literal(backbone.architecture)})"
        made = f"BertFeatures(Bert({shape}), {pooling})"
        return BertFeatures(backbone.model, network.pooling), made, (BertFeatures, BertShape)
    if isinstance(backbone, CnnBackbone):
        made = f"FilterFeatures(CnnModel({backbone.model.width}))"
        return FilterFeatures(backbone.model), made, (FilterFeatures,)
    if isinstance(backbone, VectorsBackbone):
        weighted = backbone.is_weighted
        made = (
            f"VectorFeatures(WordModel({backbone.model.width}), {pooling}, is_weighted={weighted})"
        )
        module = VectorFeatures(backbone.model, network.pooling, is_weighted=weighted)
        return module, made, (VectorFeatures,)
    if isinstance(backbone, MultilingualBackbone):
        return SentenceFeatures(backbone.model), "SentenceFeatures(Encoder())", (SentenceFeatures,)
    raise TypeError(backbone.architecture)
