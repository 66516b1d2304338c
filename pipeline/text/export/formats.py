"""The formats: what each file holds, and how it is written; beside it lies that of the tokenizer.

There is no pickle: it would hold classes of ours.
"""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, cast

import torch

from pipeline.export.formats import Writer, Written
from pipeline.export.graphs import Whole, as_onnx, as_pt2, write_state_dict
from pipeline.export.program import HEAD, Use
from pipeline.export.pt2 import EXAMPLES, GraphInput
from pipeline.export.source import source_of
from pipeline.ground.errors import ParamsError
from pipeline.ground.files import replacing
from pipeline.model.bundle import Bundle, load_network
from pipeline.text.export.build import Built, build_text_model
from pipeline.text.export.token_file import TokenFile, token_file
from pipeline.text.net.base import TextBackbone
from pipeline.text.net.bert import window_of
from pipeline.text.shelf.tokens import in_windows, padded
from pipeline.text.show.usable import usable_text

_TRACED = padded(9)
"""Tokens of the texts that are traced."""

_MADE_BY = ("torch", "tokenizers")


@dataclass(frozen=True)
class _Parts:
    built: Built
    tokens: TokenFile
    notes: Mapping[str, Any]


def _safetensors(folder: Path, model: Path, bundle: Bundle) -> Written:
    """Copy the file as `train` wrote it: its digests stay those that are recorded of it."""
    parts = _parts(folder, model, bundle)
    shutil.copyfile(model, folder / "model.safetensors")
    load = f"""tensors = load_file(HERE / "model.safetensors")
prefix = "backbone.model."
MODEL.encoder.model.load_state_dict(
    {{
        name.removeprefix(prefix): each
        for name, each in tensors.items()
        if name.startswith(prefix) and not name.endswith("tokenizer.file")
    }}
)
{HEAD}MODEL.classifier.load_state_dict({{"weight": weight.float(), "bias": bias.float()}})
"""
    told = "as `train` wrote them; the head's `mean` and `std` scale its features"
    use = Use(
        "model.safetensors", ("safetensors",), ("from safetensors.torch import load_file",), load
    )
    return _tensors(use, parts, {"tensors": told})


def _state_dict(folder: Path, model: Path, bundle: Bundle) -> Written:
    parts = _parts(folder, model, bundle)
    write_state_dict(folder / "state_dict.pt", parts.built.model)
    load = 'MODEL.load_state_dict(torch.load(HERE / "state_dict.pt", weights_only=True))\n'
    return _tensors(Use("state_dict.pt", (), (), load), parts, {})


def _tensors(use: Use, parts: _Parts, notes: Mapping[str, Any]) -> Written:
    """Return what holds tensors alone: its program makes the module."""
    made = replace(
        use,
        packages=("numpy", "torch", *use.packages),
        imports=("import torch", *use.imports),
        load=parts.built.code + use.load,
    )
    packages = (*_MADE_BY, *use.packages)
    written = Written(made, parts.built.model, False, packages, {**notes, **parts.notes})
    return _with_tokenizer(written, parts, *parts.built.classes)


def _pt2(folder: Path, model: Path, bundle: Bundle) -> Written:
    parts = _parts(folder, model, bundle)
    return _with_tokenizer(as_pt2(folder, _whole(parts, bundle)), parts)


def _onnx(folder: Path, model: Path, bundle: Bundle) -> Written:
    parts = _parts(folder, model, bundle)
    return _with_tokenizer(as_onnx(folder, _whole(parts, bundle), bundle), parts)


def _whole(parts: _Parts, bundle: Bundle) -> Whole:
    """Return what is traced.

    Raises:
        ParamsError: Texts are read in windows, whose number no graph can follow.
    """
    window, most = window_of(bundle.architecture), padded(bundle.decode.max_tokens)
    if window is not None and bundle.decode.max_tokens > window:
        raise ParamsError(
            bundle.architecture,
            f"must read {window} tokens at most as one graph",
            field="text.transform.max_tokens",
            got=bundle.decode.max_tokens,
            remedy="export it with --format safetensors or state_dict",
        )
    example = torch.ones(EXAMPLES, min(_TRACED, most), dtype=torch.int64)
    given = GraphInput("tokens", example, {(1, "length"): most})
    return Whole(parts.built.model, given, (), _MADE_BY, parts.notes)


def _with_tokenizer(written: Written, parts: _Parts, *classes: Any) -> Written:
    """Put what makes tokens of a text into the program, with further classes."""
    use, tokens = written.use, parts.tokens
    source = source_of(usable_text, padded, in_windows, tokens.reader, *classes)
    added = replace(
        use,
        packages=tuple(sorted({*use.packages, *tokens.packages})),
        imports=(*use.imports, *source.imports),
        load=f"{use.load}TOKENIZER = {tokens.code}\n",
        definitions=source.text,
    )
    return replace(written, use=added)


def _parts(folder: Path, model: Path, bundle: Bundle) -> _Parts:
    """Build a model without its tokenizer, and write that."""
    network = load_network(model, bundle)
    tokens = token_file(cast(TextBackbone, network.backbone).read.tokenizer)
    with replacing(folder / tokens.name) as scratch:
        scratch.write_bytes(tokens.content)
    told = {"tokenizer": {"file": tokens.name, "by": tokens.reader.__name__}}
    return _Parts(build_text_model(network, bundle), tokens, told)


WRITERS: Mapping[str, Writer] = MappingProxyType(
    {"safetensors": _safetensors, "pt2": _pt2, "onnx": _onnx, "state_dict": _state_dict}
)
"""By name: each writes into a folder what a model.safetensors and its bundle say."""
