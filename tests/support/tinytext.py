"""A tiny model of texts: an encoder with random weights, and a tokenizer of few words."""

import hashlib
import json

import numpy as np
import pandas as pd
import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from pipeline.compute.device import start_runtime
from pipeline.engine.rows import predict_table
from pipeline.ground.tables import write_table
from pipeline.modality.shown.inputs import item_input
from pipeline.model.bundle import VERSION, Bundle, Predictor, save_model
from pipeline.model.head import Head
from pipeline.model.network import Network
from pipeline.text.net.net import NET
from pipeline.text.shelf.normalization import TextNormalization
from pipeline.text.shelf.params import TextSpec
from pipeline.text.shelf.tokens import TENSOR
from tests.support.published import RESULTS

ARCHITECTURE = "bert_l1_h64_a2_v200"
CLASSES = ("bad", "good")
GOOD = ("good", "great", "works", "love", "fine")
BAD = ("bad", "broke", "poor", "hate", "slow")
PLAIN = ("the", "it", "a", "is", "and", "parcel", "phone", "book", "was", "very")
_MARKS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def tokenizer_file():
    """Give the bytes of a tokenizer.json that knows some words, and all letters of ASCII."""
    letters = [chr(code) for code in range(33, 127) if not chr(code).isupper()]
    pieces = [*letters, *(f"##{each}" for each in letters if each.isalnum())]
    names = dict.fromkeys((*_MARKS, *GOOD, *BAD, *PLAIN, *pieces))
    words = {name: number for number, name in enumerate(names)}
    library = Tokenizer(models.WordPiece(words, unk_token="[UNK]"))
    library.normalizer = normalizers.BertNormalizer(lowercase=True)
    library.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    library.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[(mark, words[mark]) for mark in ("[CLS]", "[SEP]")]
    )
    return library.to_str().encode()


def text_bundle(task="classification", *, max_tokens=16):
    """Give the description of a tiny model, under the fingerprint of this process."""
    runtime = start_runtime(torch.device("cpu"), precision="fp32", threads=1)
    is_classes = task == "classification"
    return Bundle(
        version=VERSION,
        modality="text",
        task=task,
        classes=CLASSES if is_classes else (),
        target="label" if is_classes else "stars",
        target_mean=0.0 if is_classes else 3.0,
        target_std=1.0 if is_classes else 1.5,
        architecture=ARCHITECTURE,
        pooling="mean",
        decode=TextSpec(max_tokens),
        normalization=TextNormalization("none"),
        temperature=1.0,
        precision="fp32",
        batch_size=4,
        threads=1,
        fingerprint=runtime.fingerprint(),
        weights_sha256=None,
        input_size=(512,),
        dropout=0.0,
        views=(0,),
    )


def text_network(bundle, *, seed=1):
    """Give a network; its head tells good words from bad ones, as far as it goes."""
    backbone = NET.build(ARCHITECTURE)
    file = torch.frombuffer(bytearray(tokenizer_file()), dtype=torch.uint8)
    state = backbone.model.state_dict() | {TENSOR: file}
    generator = torch.Generator().manual_seed(seed)
    for name in ("word_embeddings.weight", "position_embeddings.weight"):
        table = state[f"embeddings.{name}"]
        scale = 1.0 if name.startswith("word") else 0.05
        state[f"embeddings.{name}"] = scale * torch.randn(table.shape, generator=generator)
    backbone.model.load_state_dict(state)
    head = Head(64, bundle.num_outputs, dropout=0.0)
    network = Network(backbone, head, normalization=bundle.normalization, pooling="mean").eval()
    texts, labels = made_texts(400, seed=2)
    found = _features(network, bundle, texts).double()
    signs = torch.tensor([1.0 if label == "good" else -1.0 for label in labels]).double()
    found -= found.mean(0)
    slopes = torch.linalg.solve(found.T @ found + torch.eye(64).double(), found.T @ signs).float()
    with torch.no_grad():
        head.bias.zero_()
        head.weight.copy_(torch.stack([-slopes, slopes]) if bundle.classes else slopes[None])
    return network


def write_text_model(folder, task="classification", **spec):
    """Write model.safetensors and bundle.json; give the bundle."""
    folder.mkdir(parents=True, exist_ok=True)
    bundle = text_bundle(task, **spec)
    save_model(folder / "model.safetensors", text_network(bundle), bundle)
    bundle.save(folder / "bundle.json")
    return bundle


def predict_texts(folder, texts):
    """Give the rows that a model gives for texts here, without a server."""
    predictor = Predictor.load(folder / "model.safetensors", folder / "bundle.json")
    item = item_input("text")
    found = [item.encode(item.from_text(text), predictor.bundle.decode) for text in texts]
    return predict_table(
        predictor, [each if isinstance(each, str) else each.row for each in found]
    ).to_dict("records")


def made_texts(count, *, seed=1):
    """Give texts with their labels: one word of an opinion among plain ones."""
    draw = np.random.default_rng(seed)
    labels = [CLASSES[number % 2] for number in range(count)]
    texts = []
    for number, label in enumerate(labels):
        words = list(draw.choice(PLAIN, 5))
        words[draw.integers(5)] = str(draw.choice(GOOD if label == "good" else BAD))
        texts.append(" ".join([*words, str(number)]))
    return texts, labels


def _features(network, bundle, texts):
    item = item_input("text")
    rows = np.stack([item.encode(text.encode(), bundle.decode).row for text in texts])
    with torch.no_grad():
        return network.pooled(torch.from_numpy(rows))


def use_text_model(project, *, items=8):
    """Put a tiny model of texts, a raw table and its predictions of it into a project."""
    folder = project.folder
    bundle = write_text_model((folder / RESULTS.model).parent)
    project.bundle = json.loads((folder / RESULTS.bundle).read_text())
    project.fingerprint = bundle.fingerprint
    texts, labels = made_texts(items)
    texts[0] = f'{texts[0]},\n"quoted"\u2028 and more'
    raw = folder / RESULTS.raw
    raw.mkdir(parents=True, exist_ok=True)
    lines = ["text,label\n"]
    for text, label in zip(texts, labels, strict=True):
        lines.append('"{}",{}\n'.format(text.replace('"', '""'), label))
    (raw / "reviews.csv").write_text("".join(lines), encoding="utf-8", newline="")
    table = pd.DataFrame(predict_texts((folder / RESULTS.model).parent, texts))
    table = table.drop(columns="error").rename(columns={"label": "predicted"})
    table.insert(0, "path", [f"reviews.csv/text/{row:08d}" for row in range(items)])
    table.insert(1, "id", [hashlib.sha256(text.encode()).hexdigest() for text in texts])
    table.insert(2, "split", "test")
    table.insert(3, "label", labels)
    project.divide(test=table["id"])
    write_table(folder / RESULTS.predictions, table)
    return project.record()
