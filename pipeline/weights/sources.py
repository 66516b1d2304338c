"""Where pretrained weights come from: `weights.source` to a file on this machine and its facts.

    package:<distribution>                a weights file inside an installed package
    file:<name>                           a file or a known kind of folder, in weights/
    model:models:/<name>@<alias>          a registered model of one's own

and the kinds of `Net.SOURCES`, of which one file is downloaded.
"""

import hashlib
import importlib.metadata
import logging
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, replace
from http.client import HTTPException
from pathlib import Path
from urllib.parse import urlsplit

import torch

from pipeline.ground.errors import DataError, IntegrityError, MachineError, ParamsError
from pipeline.ground.files import sha256_file
from pipeline.modality.nets import Net
from pipeline.modality.types.pretrained import Expected, Remote, check_architecture

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
        expected: What they were trained with.
        in_order: Whether tensors match the architecture's by their order, under other names.
    """

    path: Path
    expected: Expected
    in_order: bool = False


def locate(
    source: str,
    architecture: str,
    net: Net,
    *,
    local: Path,
    scratch: Path,
    resolve_model: ResolveModel,
) -> WeightsFile:
    """Find or fetch the file of a source.

    Args:
        source: `weights.source`, any but `none`.
        architecture: A name that `net` knows.
        net: Of the architecture's modality.
        local: The folder of local weight files.
        scratch: An existing folder for what is downloaded.
        resolve_model: For `model:`.

    Raises:
        ParamsError: The source does not exist, or is another architecture's.
        DataError: The file is missing.
        MachineError: The package is not installed, or the download failed.
        IntegrityError: The download is not the announced file.
    """
    kind, name = source.split(":", 1)
    if kind == "package":
        return _in_package(name, architecture, net)
    if kind in net.SOURCES:
        remote = net.SOURCES[kind].remote(name, architecture)
        return WeightsFile(_fetch(remote, scratch), net.SOURCES[kind].expected(name))
    path = resolve_model(name) if kind == "model" else _in_folder(name, architecture, net, local)
    return WeightsFile(path, replace(net.expected(architecture), license=None))


def _in_package(name: str, architecture: str, net: Net) -> WeightsFile:
    try:
        distribution = importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError as error:
        raise MachineError(
            "params.yaml",
            "the package must be installed",
            field=_FIELD,
            got=name,
            remedy=f"run `pip install {name}`; known are {', '.join(net.PACKAGES)}",
        ) from error
    known = net.PACKAGES.get(name)
    if known is not None and known.file is not None:
        check_architecture(known.architectures, architecture, source=f"package:{name}")
        path = Path(str(distribution.locate_file(known.file)))
        facts = {**net.expected(architecture).facts, **known.expected.facts}
        return WeightsFile(path, replace(known.expected, facts=facts), in_order=known.is_renamed)
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
    if known is None:
        expression = distribution.metadata.json.get("license_expression")
        told = str(expression) if expression else None
        return WeightsFile(path, replace(net.expected(architecture), license=told))
    check_architecture(known.architectures, architecture, source=f"package:{name}")
    return WeightsFile(path, known.expected, in_order=known.is_renamed)


def cached_file(remote: Remote) -> Path | None:
    """Return torch's cached copy of a file, if its hash is announced and right."""
    cached = Path(torch.hub.get_dir()) / "checkpoints" / _name(remote)
    prefix = remote.sha256_prefix
    is_there = prefix and cached.is_file() and sha256_file(cached).startswith(prefix)
    return cached if is_there else None


def _name(remote: Remote) -> str:
    return Path(urlsplit(remote.url).path).name


def _in_folder(name: str, architecture: str, net: Net, local: Path) -> Path:
    path = local / name
    if not path.resolve().is_relative_to(local.resolve()):
        raise ParamsError(
            "params.yaml", f"must be a file in {local}", field=_FIELD, got=f"file:{name}"
        )
    if path.is_dir():
        path = net.entry(path, architecture) or path
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


def _fetch(remote: Remote, scratch: Path) -> Path:
    """Download a file, or take torch's cached copy if its hash is right."""
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
    """Write a URL's content; return its SHA-256, its size, and the announced size."""
    digest, size = hashlib.sha256(), 0
    request = urllib.request.Request(url, headers={"User-Agent": "rootstock"})
    with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer, path.open("wb") as stream:
        length = answer.headers.get("Content-Length")
        while block := answer.read(_BLOCK_BYTES):
            stream.write(block)
            digest.update(block)
            size += len(block)
    return digest.hexdigest(), size, int(length) if length else None
