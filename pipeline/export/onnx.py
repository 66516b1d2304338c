"""`model.onnx`: the model as a graph of ONNX operations, checked by the ONNX package."""

import importlib.util
import logging
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import nn

from pipeline.export.pt2 import GraphInput, untraceable
from pipeline.ground.errors import MachineError, ParamsError
from pipeline.ground.files import replacing

OPSET = 18
"""Of the operations: the lowest that torch writes, read by every runtime since 2023."""

PACKAGES = ("onnx", "onnxruntime", "onnxscript")
_MOST_BYTES = 2_000_000_000
"""The format's own limit is 2 GiB for a file."""


def require_packages() -> None:
    """Check that the packages are there.

    Raises:
        MachineError: One is missing.
    """
    missing = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise MachineError(
            "rootstock export",
            f"the format onnx needs the packages {', '.join(PACKAGES)}",
            got=f"no {', '.join(missing)}",
            remedy="run `pip install 'rootstock[onnx]'`",
        )


def write_onnx(path: Path, model: nn.Module, given: GraphInput, *, output: str) -> None:
    """Convert a model, check and write it; equal models give equal bytes.

    Args:
        path: The file.
        model: The model.
        given: What it takes.
        output: Name of what it gives.

    Raises:
        MachineError: A package is missing.
        ParamsError: The architecture cannot be converted, or is too large for one file.
    """
    require_packages()
    import onnx  # an extra

    size_bytes = sum(each.nbytes for each in model.state_dict().values())
    if size_bytes > _MOST_BYTES:
        raise ParamsError(
            path.name,
            f"must hold at most {_MOST_BYTES} bytes",
            got=size_bytes,
            remedy="export it as pt2",
        )
    proto = _convert(path, model, given, output)
    _strip(proto)
    onnx.checker.check_model(proto, full_check=True)
    with replacing(path) as scratch:
        scratch.write_bytes(proto.SerializeToString(deterministic=True))


def _convert(path: Path, model: nn.Module, given: GraphInput, output: str) -> Any:
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns of its own older ways, which it uses itself
        try:
            program = torch.onnx.export(
                model,
                (given.example,),
                dynamo=True,
                opset_version=OPSET,
                verbose=False,
                input_names=[given.name],
                output_names=[output],
                dynamic_shapes=given.shapes(),
            )
        except RuntimeError as error:
            raise untraceable(path, error) from error
    if program is None:
        raise TypeError("torch gave no program")
    return program.model_proto


def _strip(proto: Any) -> None:
    """Leave out what torch notes of a step's origin: paths on this machine."""
    graph = proto.graph
    holders = (
        proto,
        graph,
        *graph.node,
        *graph.input,
        *graph.output,
        *graph.value_info,
        *graph.initializer,
        *proto.functions,
    )
    for each in holders:
        each.ClearField("metadata_props")
