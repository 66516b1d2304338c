"""`use.py` of pictures."""

from dataclasses import replace

from pipeline.export.formats import output_name
from pipeline.export.program import HEAD, Parts, Use, compose, literal
from pipeline.export.source import source_of
from pipeline.model.bundle import Bundle
from pipeline.picture.export.build import Classifier, picture_arguments
from pipeline.picture.export.modules import PictureModel, PooledClassifier
from pipeline.picture.export.usage_text import FIT, HEADER, MAIN, READ

_IMPORTS = ("import struct", "from io import BytesIO", "from PIL import Image, ImageCms")


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
{HEAD}model.classifier.load_state_dict({{"weight": weight.float(), "bias": bias.float()}})
"""
    use = _use_timm(file, model, bundle, load)
    imports = (*use.imports, "from safetensors.torch import load_file")
    return replace(use, packages=(*use.packages, "safetensors"), imports=imports)


def use_pickle(file: str, model: Classifier, bundle: Bundle) -> Use:
    """Return the parts for a pickled module, or for its two parts."""
    read = f'torch.load(HERE / "{file}", weights_only=False)  # runs whatever the file says\n'
    if model.options is not None:
        return _use_timm(file, model, bundle, f"model = {read}")
    made = _pooled('parts["backbone"]', bundle)
    load = f'parts = {read}model = {made}\nmodel.classifier = parts["classifier"]\n'
    return _use_timm(file, model, bundle, load)


def program(use: Use, bundle: Bundle) -> str:
    """Put the program together."""
    spec = bundle.decode
    constants = {
        "SIZE": str(spec.size_px),
        "INTERPOLATION": f"Image.Resampling.{spec.interpolation.upper()}",
        "BACKGROUND": literal(spec.background),
        "WHITE16": str(spec.white16),
    }
    parts = Parts(
        HEADER,
        _IMPORTS,
        constants,
        ("pictures", "uint8 pictures [B, 3, SIZE, SIZE]"),
        READ + FIT[spec.resize],
        MAIN,
    )
    return compose(use, bundle, parts, output=output_name(bundle))


def _make(model: Classifier, bundle: Bundle) -> str:
    """Return the line that makes an empty model."""
    name = literal(bundle.architecture)
    if model.options is None:
        made = _pooled(f"timm.create_model({name}, num_classes=0)", bundle)
        return f"model = {made}\n"
    options = ", ".join(f"{key}={literal(value)}" for key, value in model.options.items())
    return f"model = timm.create_model({name}, {options})\n"


def _pooled(backbone: str, bundle: Bundle) -> str:
    pooling = literal(bundle.pooling.split("+"))
    return f"PooledClassifier(\n    {backbone}, {pooling}, {bundle.num_outputs}\n)"


def _use_timm(file: str, model: Classifier, bundle: Bundle, load: str) -> Use:
    arguments = picture_arguments(bundle)
    lines = "".join(f"    {name}={literal(value)},\n" for name, value in arguments.items())
    around = f"MODEL = PictureModel(\n    model,\n{lines}).eval()\n"
    classes = (PictureModel,) if model.options is not None else (PooledClassifier, PictureModel)
    source = source_of(*classes)
    imports = (*source.imports, "import torch", *(("import timm",) if "timm." in load else ()))
    packages = ("numpy", "pillow", "timm", "torch")
    return Use(file, packages, imports, load + around, source.text)
