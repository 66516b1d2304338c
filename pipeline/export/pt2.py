"""`model.pt2`: the model as a graph of plain operations, read by `torch.export.load`.

Stored are the graph as JSON and the tensors as raw bytes. `torch.export.load` would also read
pickles where an archive says that it has them, so one from strangers is not safe to load; ours
hold none, which is checked.
"""

import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from pipeline.ground.errors import IntegrityError, ParamsError
from pipeline.ground.files import replacing

EXAMPLES = 2
"""Items in the batch that is traced; sizes 0 and 1 would be taken for constants."""

_TRACES = ("stack_trace", "nn_module_stack", "source_fn_stack", "torch_fn")
"""What torch notes of a step's origin: paths on this machine, and nothing that is computed."""


@dataclass(frozen=True)
class GraphInput:
    """The one argument of a model that is traced.

    Attributes:
        name: Of the argument of `forward`.
        example: `EXAMPLES` items; their values do not matter.
        most: The largest size of each axis that is free besides the first, by its number and name.
    """

    name: str
    example: torch.Tensor
    most: Mapping[tuple[int, str], int]

    def shapes(self) -> dict[str, Any]:
        """Return the axes that are free, as torch takes them."""
        free = {
            axis: torch.export.Dim(name, min=1, max=most)
            for (axis, name), most in self.most.items()
        }
        return {self.name: {0: torch.export.Dim("batch", min=1), **free}}


def write_pt2(path: Path, model: nn.Module, given: GraphInput) -> None:
    """Trace a model and write it; equal models give equal bytes.

    Raises:
        ParamsError: torch cannot trace the architecture.
    """
    try:
        program = torch.export.export(model, (given.example,), dynamic_shapes=given.shapes())
    except RuntimeError as error:
        raise untraceable(path, error) from error
    for node in program.graph.nodes:
        for name in _TRACES:
            node.meta.pop(name, None)
    program.example_inputs = None  # would be stored as a pickle
    stream = io.BytesIO()
    torch.export.save(program, stream)
    refuse_pickles(path, stream.getvalue())
    with replacing(path) as scratch:
        scratch.write_bytes(stream.getvalue())


def untraceable(path: Path, error: Exception) -> ParamsError:
    """Return that an architecture cannot be turned into a graph, with the first line of why."""
    return ParamsError(
        path.name,
        f"torch cannot trace this architecture: {str(error).strip().splitlines()[0]}",
        remedy="export it as safetensors or state_dict",
    )


def refuse_pickles(path: Path, content: bytes) -> None:
    """Check that nothing in an archive is read by unpickling.

    Raises:
        IntegrityError: Something is.
    """
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        for name in archive.namelist():
            is_sample = "/sample_inputs/" in name
            if is_sample and archive.getinfo(name).file_size:
                raise IntegrityError(path.name, f"must hold no pickle, but has {name}")
            if name.endswith("_config.json"):
                entries = json.loads(archive.read(name))["config"]
                if any(entry["use_pickle"] for entry in entries.values()):
                    raise IntegrityError(path.name, f"must hold no pickle, but {name} has one")
