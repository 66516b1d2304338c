"""`use.py`: how a file is used without Rootstock, as a program that people can copy from.

It is put together from what the bundle says, so that it has no branch that a model does not need.
Each export runs it in a fresh process, and compares what it gives.
"""

import inspect
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.model.bundle import Bundle
from pipeline.picture.export.build import Classifier, picture_arguments
from pipeline.picture.export.modules import PictureModel, PooledClassifier
from pipeline.picture.export.usage_text import (
    FIT,
    HEADER,
    MAIN,
    PREDICT_ONNX,
    PREDICT_TORCH,
    READ,
    ROWS,
)

_BATCH = 8
"""Pictures predicted at once; a user changes it in the file."""

_STANDARD = ("import json", "import sys", "from io import BytesIO", "from pathlib import Path")
_COMMON = ("import numpy as np", "from PIL import Image, ImageCms, ImageOps")
_MODULES_STANDARD = ("from collections.abc import Sequence",)
_MODULES = ("import torch", "from torch import Tensor, nn")
"""What the source of `modules` needs."""


@dataclass(frozen=True)
class Use:
    """What is particular to a format in its `use.py`.

    Attributes:
        file: The model's.
        packages: That it needs, as pip names them.
        imports: Lines, besides the common ones.
        standard: Such lines, of the standard library.
        definitions: Source that `load` needs.
        load: Lines that define `MODEL`.
    """

    file: str
    packages: tuple[str, ...]
    imports: tuple[str, ...]
    load: str
    standard: tuple[str, ...] = ()
    definitions: str = ""


def use_onnx(file: str) -> Use:
    """Return the parts for a file of ONNX."""
    load = (
        f'PATH = str(HERE / "{file}")\n'
        'MODEL = onnxruntime.InferenceSession(PATH, providers=["CPUExecutionProvider"])\n'
    )
    return Use(file, ("numpy", "onnxruntime", "pillow"), ("import onnxruntime",), load)


def use_pt2(file: str) -> Use:
    """Return the parts for an exported program of torch."""
    load = f'MODEL = torch.export.load(HERE / "{file}").module()\n'
    return Use(file, ("numpy", "pillow", "torch"), ("import torch",), load)


def use_state_dict(file: str, model: Classifier, bundle: Bundle) -> Use:
    """Return the parts for plain tensors of torch."""
    load = (
        f"{_make(model, bundle)}"
        f'model.load_state_dict(torch.load(HERE / "{file}", weights_only=True))\n'
    )
    return _use_timm(file, model, bundle, load)


def use_safetensors(file: str, model: Classifier, bundle: Bundle) -> Use:
    """Return the parts for the file that `train` wrote, with its own names of tensors.

    Args:
        file: Its name.
        model: A `PooledClassifier`.
        bundle: The model's.
    """
    load = f"""tensors = load_file(HERE / "{file}")
prefix = "backbone.model."
{_make(model, bundle)}model.backbone.load_state_dict(
    {{name.removeprefix(prefix): each for name, each in tensors.items() if name.startswith(prefix)}}
)
# the head scales its features: that goes into one layer
weight = tensors["head.weight"].double() / tensors["head.std"].double()
bias = tensors["head.bias"].double() - weight @ tensors["head.mean"].double()
model.classifier.load_state_dict({{"weight": weight.float(), "bias": bias.float()}})
"""
    parts = _use_timm(file, model, bundle, load)
    return Use(
        file,
        (*parts.packages, "safetensors"),
        (*parts.imports, "from safetensors.torch import load_file"),
        parts.load,
        parts.standard,
        parts.definitions,
    )


def use_pickle(file: str, model: Classifier, bundle: Bundle) -> Use:
    """Return the parts for a pickled module, or for its two parts."""
    read = f'torch.load(HERE / "{file}", weights_only=False)  # runs whatever the file says\n'
    if model.options is not None:
        return _use_timm(file, model, bundle, f"model = {read}")
    made = _pooled('parts["backbone"]', bundle)
    load = f'parts = {read}model = {made}\nmodel.classifier = parts["classifier"]\n'
    return _use_timm(file, model, bundle, load)


def compose(use: Use, bundle: Bundle, *, output: str) -> str:
    """Put the program together.

    Args:
        use: The parts of the format.
        bundle: The model's.
        output: What the model gives, in a word.
    """
    spec = bundle.decode
    constants = {
        "HERE": "Path(__file__).resolve().parent",
        "SIZE": str(spec.size_px),
        "INTERPOLATION": f"Image.Resampling.{spec.interpolation.upper()}",
        "BACKGROUND": _literal(spec.background),
        "WHITE16": str(spec.white16),
        "BATCH": str(_BATCH),
    }
    if bundle.task == "classification":
        constants["CLASSES"] = _literal(list(bundle.classes))
    predict = PREDICT_ONNX if "onnxruntime" in use.packages else PREDICT_TORCH
    header = HEADER.replace("<FILE>", use.file).replace("<PACKAGES>", ", ".join(use.packages))
    return "\n".join(
        (
            header,
            _imports(*_STANDARD, *use.standard),
            _imports(*_COMMON, *use.imports),
            "".join(f"{name} = {value}\n" for name, value in constants.items())
            + use.definitions
            + "\n\n" * bool(use.definitions)
            + use.load
            + READ
            + FIT[spec.resize]
            + predict.replace("<OUTPUT>", output)
            + ROWS[bundle.task]
            + MAIN,
        )
    )


def _imports(*lines: str) -> str:
    """Sort lines as isort does: plain ones first, then by module."""
    order = sorted(lines, key=lambda line: (line.startswith("from"), line.split()[1].lower()))
    return "".join(f"{each}\n" for each in order)


def _make(model: Classifier, bundle: Bundle) -> str:
    """Return the line that makes an empty model."""
    name = _literal(bundle.architecture)
    if model.options is None:
        made = _pooled(f"timm.create_model({name}, num_classes=0)", bundle)
        return f"model = {made}\n"
    options = ", ".join(f"{key}={_literal(value)}" for key, value in model.options.items())
    return f"model = timm.create_model({name}, {options})\n"


def _pooled(backbone: str, bundle: Bundle) -> str:
    pooling = _literal(bundle.pooling.split("+"))
    return f"PooledClassifier(\n    {backbone}, {pooling}, {bundle.num_outputs}\n)"


def _use_timm(file: str, model: Classifier, bundle: Bundle, load: str) -> Use:
    arguments = picture_arguments(bundle)
    lines = "".join(f"    {name}={_literal(value)},\n" for name, value in arguments.items())
    around = f"MODEL = PictureModel(\n    model,\n{lines}).eval()\n"
    imports, standard, source = list(_MODULES), list(_MODULES_STANDARD), ""
    if "timm." in load:
        imports.append("import timm")
    if model.options is None:
        standard.append("from typing import Any")
        source = f"\n\n{inspect.getsource(PooledClassifier)}"
    source += f"\n\n{inspect.getsource(PictureModel)}"
    packages = ("numpy", "pillow", "timm", "torch")
    return Use(file, packages, tuple(imports), load + around, tuple(standard), source)


def _literal(value: Any) -> str:
    """Write a value in Python, with double quotes."""
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, Sequence):
        inside = ", ".join(map(_literal, value))
        return f"[{inside}]" if isinstance(value, list) else f"({inside}{',' * (len(value) == 1)})"
    return repr(value)
