"""The formats that hold a whole prediction, whatever an item is; and one that holds tensors."""

import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from pipeline.export.formats import Written, output_name
from pipeline.export.onnx import OPSET, PACKAGES, write_onnx
from pipeline.export.program import use_onnx, use_pt2
from pipeline.export.pt2 import GraphInput, write_pt2
from pipeline.ground.files import replacing
from pipeline.model.bundle import Bundle


@dataclass(frozen=True)
class Whole:
    """A prediction as one module.

    Attributes:
        module: In eval mode.
        given: What it takes.
        needs: Packages of its `use.py`, besides those of the format.
        made_by: Packages that decide what it computes.
        notes: What else there is to say of it, for export.json.
    """

    module: nn.Module
    given: GraphInput
    needs: tuple[str, ...]
    made_by: tuple[str, ...]
    notes: Mapping[str, Any]


def as_pt2(folder: Path, whole: Whole) -> Written:
    """Write `model.pt2` into a folder."""
    use = use_pt2("model.pt2", *whole.needs)
    write_pt2(folder / use.file, whole.module, whole.given)
    told = "none; a file of others may hold some, which torch.export.load reads"
    return Written(use, whole.module, True, whole.made_by, {"pickles": told, **whole.notes})


def as_onnx(folder: Path, whole: Whole, bundle: Bundle) -> Written:
    """Write `model.onnx` into a folder."""
    use = use_onnx("model.onnx", *whole.needs)
    write_onnx(folder / use.file, whole.module, whole.given, output=output_name(bundle))
    notes = {"opset": OPSET, **whole.notes}
    return Written(use, whole.module, True, (*whole.made_by, *PACKAGES), notes)


def write_state_dict(path: Path, module: nn.Module) -> None:
    """Write tensors by their names; equal modules give equal bytes."""
    stream = io.BytesIO()  # a path would be written into the file
    # clones: views of larger storage would be stored with all of it
    torch.save({name: each.clone() for name, each in module.state_dict().items()}, stream)
    with replacing(path) as scratch:
        scratch.write_bytes(stream.getvalue())
