"""`use.py`: how a file is used without Rootstock, as a program that people can copy from.

It is put together from what the bundle says, so that it has no branch that a model does not need.
Each export runs it in a fresh process, and compares what it gives.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.export.source import import_lines
from pipeline.model.bundle import Bundle

_BATCH = 8
"""Items predicted at once; a user changes it in the file."""

_IMPORTS = ("import json", "import sys", "from pathlib import Path", "import numpy as np")

HEAD = """# the head scales its features: that goes into one layer
weight = tensors["head.weight"].double() / tensors["head.std"].double()
bias = tensors["head.bias"].double() - weight @ tensors["head.mean"].double()
"""
"""Lines that read it out of the file that `train` wrote."""

PREDICT_TORCH = '''

def predict(<ITEMS>):
    """Give <OUTPUT> of <SHAPE>."""
    with torch.inference_mode():
        return MODEL(torch.from_numpy(<ITEMS>)).numpy()
'''

PREDICT_ONNX = '''

def predict(<ITEMS>):
    """Give <OUTPUT> of <SHAPE>."""
    return MODEL.run(None, {"<ITEMS>": <ITEMS>})[0]
'''

ROWS = {
    "classification": '''

def row(numbers):
    """Name the class that is most likely, and the probability of each."""
    named = dict(zip(CLASSES, map(float, numbers)))
    return {"label": CLASSES[int(numbers.argmax())], "probabilities": named}
''',
    "regression": '''

def row(numbers):
    """Name the value."""
    return {"value": float(numbers[0])}
''',
}


@dataclass(frozen=True)
class Use:
    """What is particular to a format in its `use.py`.

    Attributes:
        file: The model's.
        packages: That it needs, as pip names them.
        imports: Lines, besides the common ones.
        load: Lines that define `MODEL`.
        definitions: Source that `load` needs.
    """

    file: str
    packages: tuple[str, ...]
    imports: tuple[str, ...]
    load: str
    definitions: str = ""


@dataclass(frozen=True)
class Parts:
    """What is particular to a modality.

    Attributes:
        header: Its docstring, with <FILE> and <PACKAGES>.
        imports: Lines, besides the common ones.
        constants: By name, in Python.
        items: What `predict` calls its argument, and what that is.
        read: Functions that make it of an item.
        main: Functions that answer with `predict` and `row`.
    """

    header: str
    imports: tuple[str, ...]
    constants: Mapping[str, str]
    items: tuple[str, str]
    read: str
    main: str


def use_onnx(file: str, *packages: str) -> Use:
    """Return the parts for a file of ONNX; the packages are those besides its own."""
    load = (
        f'PATH = str(HERE / "{file}")\n'
        'MODEL = onnxruntime.InferenceSession(PATH, providers=["CPUExecutionProvider"])\n'
    )
    return Use(file, _sorted("numpy", "onnxruntime", *packages), ("import onnxruntime",), load)


def use_pt2(file: str, *packages: str) -> Use:
    """Return the parts for an exported program of torch."""
    load = f'MODEL = torch.export.load(HERE / "{file}").module()\n'
    return Use(file, _sorted("numpy", "torch", *packages), ("import torch",), load)


def _sorted(*packages: str) -> tuple[str, ...]:
    return tuple(sorted(packages))


def compose(use: Use, bundle: Bundle, parts: Parts, *, output: str) -> str:
    """Put the program together.

    Args:
        use: The parts of the format.
        bundle: The model's.
        parts: Those of the modality.
        output: What the model gives, in a word.
    """
    constants = {"HERE": "Path(__file__).resolve().parent", **parts.constants, "BATCH": f"{_BATCH}"}
    if bundle.task == "classification":
        constants["CLASSES"] = literal(list(bundle.classes))
    predict = PREDICT_ONNX if "onnxruntime" in use.packages else PREDICT_TORCH
    name, shape = parts.items
    words = {"<FILE>": use.file, "<PACKAGES>": ", ".join(use.packages)}
    words |= {"<OUTPUT>": output, "<ITEMS>": name, "<SHAPE>": shape}
    definitions = f"\n\n{use.definitions}\n\n\n" if use.definitions else ""
    imports = (*_IMPORTS, *parts.imports, *use.imports)
    return "\n".join(
        (
            _filled(parts.header, words),
            import_lines(imports),
            "".join(f"{name} = {value}\n" for name, value in constants.items())
            + definitions
            + use.load
            + parts.read
            + _filled(predict, words)
            + ROWS[bundle.task]
            + parts.main,
        )
    )


def _filled(text: str, words: Mapping[str, str]) -> str:
    for word, meant in words.items():
        text = text.replace(word, meant)
    return text


def literal(value: Any) -> str:
    """Write a value in Python, with double quotes."""
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, Sequence):
        inside = ", ".join(map(literal, value))
        return f"[{inside}]" if isinstance(value, list) else f"({inside}{',' * (len(value) == 1)})"
    return repr(value)
