"""The formats: what each file holds, and how it is written."""

import logging
import shutil
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from torch import nn

from pipeline.export.formats import Writer, Written
from pipeline.export.graphs import Whole, as_onnx, as_pt2, write_state_dict
from pipeline.export.pt2 import EXAMPLES, GraphInput
from pipeline.model.bundle import Bundle, load_network
from pipeline.picture.export.build import Classifier, classifier, picture_model, pooled_classifier
from pipeline.picture.export.pickled import WARNING, write_pickle
from pipeline.picture.export.usage import use_pickle, use_safetensors, use_state_dict

log = logging.getLogger(__name__)


def _safetensors(folder: Path, model: Path, bundle: Bundle) -> Written:
    """Copy the file as `train` wrote it: its digests stay those that are recorded of it."""
    module = Classifier(pooled_classifier(load_network(model, bundle)), None)
    use = use_safetensors("model.safetensors", module, bundle)
    shutil.copyfile(model, folder / use.file)
    notes = {"tensors": "as `train` wrote them; the head's `mean` and `std` scale its features"}
    packages = ("timm", "torch", "safetensors")
    return Written(use, picture_model(module.module, bundle), False, packages, notes)


def _pt2(folder: Path, model: Path, bundle: Bundle) -> Written:
    return as_pt2(folder, _whole(model, bundle))


def _onnx(folder: Path, model: Path, bundle: Bundle) -> Written:
    return as_onnx(folder, _whole(model, bundle), bundle)


def _whole(model: Path, bundle: Bundle) -> Whole:
    module = picture_model(pooled_classifier(load_network(model, bundle)), bundle)
    size_px = bundle.decode.size_px
    example = torch.zeros(EXAMPLES, 3, size_px, size_px, dtype=torch.uint8)
    return Whole(
        module, GraphInput("pictures", example, {}), ("pillow",), ("timm", "torch"), notes={}
    )


def _state_dict(folder: Path, model: Path, bundle: Bundle) -> Written:
    module = classifier(load_network(model, bundle))
    use = use_state_dict("state_dict.pt", module, bundle)
    write_state_dict(folder / use.file, module.module)
    packages = ("timm", "torch")
    return Written(use, picture_model(module.module, bundle), False, packages, _made(module))


def _pickle(folder: Path, model: Path, bundle: Bundle) -> Written:
    log.warning("%s", WARNING)
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


WRITERS: Mapping[str, Writer] = MappingProxyType(
    {
        "safetensors": _safetensors,
        "pt2": _pt2,
        "onnx": _onnx,
        "state_dict": _state_dict,
        "pickle": _pickle,
    }
)
"""By name: each writes into a folder what a model.safetensors and its bundle say."""
