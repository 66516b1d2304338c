"""The formats: what each file holds, and how it is written."""

import io
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from torch import nn

from pipeline.export.onnx import OPSET, PACKAGES, write_onnx
from pipeline.export.pt2 import write_pt2
from pipeline.ground.files import replacing
from pipeline.ground.tasks import KINDS
from pipeline.model.bundle import Bundle, load_network
from pipeline.picture.export.build import Classifier, classifier, picture_model, pooled_classifier
from pipeline.picture.export.modules import PictureModel
from pipeline.picture.export.pickled import write_pickle
from pipeline.picture.export.usage import (
    Use,
    use_onnx,
    use_pickle,
    use_pt2,
    use_safetensors,
    use_state_dict,
)


@dataclass(frozen=True)
class Written:
    """A file that was written.

    Attributes:
        use: How it is used.
        model: What it computes, in this process.
        is_whole: Whether normalization, views and what comes after the classifier are in it.
        packages: That made it; their versions decide what it computes.
        notes: What else there is to say of it, for export.json.
    """

    use: Use
    model: PictureModel
    is_whole: bool
    packages: tuple[str, ...]
    notes: Mapping[str, Any]

    @property
    def file(self) -> str:
        """Its name."""
        return self.use.file


def output_name(bundle: Bundle) -> str:
    """Return what a model gives in the end, in a word."""
    return KINDS[bundle.task].outputs


def _safetensors(folder: Path, model: Path, bundle: Bundle) -> Written:
    """Copy the file as `train` wrote it: its digests stay those that are recorded of it."""
    module = Classifier(pooled_classifier(load_network(model, bundle)), None)
    use = use_safetensors("model.safetensors", module, bundle)
    shutil.copyfile(model, folder / use.file)
    notes = {"tensors": "as `train` wrote them; the head's `mean` and `std` scale its features"}
    packages = ("timm", "torch", "safetensors")
    return Written(use, picture_model(module.module, bundle), False, packages, notes)


def _pt2(folder: Path, model: Path, bundle: Bundle) -> Written:
    whole = picture_model(pooled_classifier(load_network(model, bundle)), bundle)
    use = use_pt2("model.pt2")
    write_pt2(folder / use.file, whole, bundle.decode.size_px)
    notes = {"pickles": "none; a file of others may hold some, which torch.export.load reads"}
    return Written(use, whole, True, ("timm", "torch"), notes)


def _onnx(folder: Path, model: Path, bundle: Bundle) -> Written:
    whole = picture_model(pooled_classifier(load_network(model, bundle)), bundle)
    use = use_onnx("model.onnx")
    write_onnx(folder / use.file, whole, bundle.decode.size_px, output=output_name(bundle))
    return Written(use, whole, True, ("timm", "torch", *PACKAGES), {"opset": OPSET})


def _state_dict(folder: Path, model: Path, bundle: Bundle) -> Written:
    module = classifier(load_network(model, bundle))
    use = use_state_dict("state_dict.pt", module, bundle)
    stream = io.BytesIO()  # a path would be written into the file
    # clones: views of larger storage would be stored with all of it
    torch.save({name: each.clone() for name, each in module.module.state_dict().items()}, stream)
    with replacing(folder / use.file) as scratch:
        scratch.write_bytes(stream.getvalue())
    packages = ("timm", "torch")
    return Written(use, picture_model(module.module, bundle), False, packages, _made(module))


def _pickle(folder: Path, model: Path, bundle: Bundle) -> Written:
    module = classifier(load_network(model, bundle))
    use = use_pickle("model.pickle", module, bundle)
    content = module.module
    if module.options is None:
        content = nn.ModuleDict(
            {
                "backbone": module.module.get_submodule("backbone"),
                "classifier": module.module.get_submodule("classifier"),
            }
        )
    write_pickle(folder / use.file, content)
    packages = ("timm", "torch")
    return Written(use, picture_model(module.module, bundle), False, packages, _made(module))


def _made(module: Classifier) -> dict[str, Any]:
    if module.options is None:
        return {
            "timm": None,
            "why": "timm has no such pooling before its classifier: `use.py` "
            "has the class PooledClassifier",
        }
    return {"timm": module.options}


WRITERS: Mapping[str, Callable[[Path, Path, Bundle], Written]] = MappingProxyType(
    {
        "safetensors": _safetensors,
        "pt2": _pt2,
        "onnx": _onnx,
        "state_dict": _state_dict,
        "pickle": _pickle,
    }
)
"""By name: each writes into a folder what a model.safetensors and its bundle say."""
