"""`model.pickle`: a whole module of torch's and timm's classes. Whoever loads a pickle runs it.

It is written for programs that take nothing else, never loaded here, and looked through instead:
the names that it would import must be known ones.
"""

import io
import pickletools
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import nn

from pipeline.ground.errors import IntegrityError
from pipeline.ground.files import replacing

WARNING = (
    "a pickle can run any program when it is loaded: load it only where you trust everyone who "
    "could have written the file; safetensors, pt2 and onnx hold numbers and no program"
)
_CLASSES = re.compile(r"(timm\.layers|timm\.models|torch\.nn\.modules)(\.\w+)*\.[A-Z]\w*")
_NAMES = frozenset(
    {
        "__builtin__.set",
        "collections.OrderedDict",
        "torch.FloatStorage",
        "torch.LongStorage",
        "torch._utils._rebuild_parameter",
        "torch._utils._rebuild_tensor_v2",
    }
)


def write_pickle(path: Path, module: nn.Module) -> None:
    """Write a module as a pickle; equal modules give equal bytes.

    Raises:
        IntegrityError: It would import something that is not on the list.
    """
    stream = io.BytesIO()  # a path would be written into the file
    torch.save(module, stream)
    refuse_unknown_names(path, stream.getvalue())
    with replacing(path) as scratch:
        scratch.write_bytes(stream.getvalue())


def refuse_unknown_names(path: Path, content: bytes) -> None:
    """Check what a pickle of torch would import, without loading it.

    Raises:
        IntegrityError: A name is not on the list.
    """
    for name in imported_names(content):
        if name not in _NAMES and not _CLASSES.fullmatch(name):
            raise IntegrityError(path.name, "must import classes of torch and timm alone", got=name)


def imported_names(content: bytes) -> Iterator[str]:
    """Yield the names that a file of `torch.save` imports when it is loaded.

    Raises:
        ValueError: It has several pickles, or names computed in it.
    """
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        pickles = [name for name in archive.namelist() if name.endswith(".pkl")]
        if len(pickles) != 1:
            raise ValueError(f"must hold one pickle, got {pickles}")
        raw = archive.read(pickles[0])
    for operation, argument, _ in pickletools.genops(raw):
        if operation.name == "GLOBAL":
            yield str(argument).replace(" ", ".")
        elif operation.name in ("STACK_GLOBAL", "INST", "EXT1", "EXT2", "EXT4"):
            raise ValueError(f"must name what it imports, got {operation.name}")
