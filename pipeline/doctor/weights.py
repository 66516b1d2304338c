"""Pretrained weights: what of the stage `weights` can be told without downloading anything."""

import tempfile
import urllib.error
import urllib.request
from collections.abc import Generator, Iterator
from http.client import HTTPException
from pathlib import Path

from pipeline.ground.errors import DataError, IntegrityError, MachineError, ParamsError
from pipeline.ground.files import read_json
from pipeline.ground.findings import Finding, ok, warn
from pipeline.modality.nets import Net, modality_for, net
from pipeline.modality.types.params import NormalizeSection, ShelfParams
from pipeline.modality.types.pretrained import Doubt, Expected, Remote
from pipeline.track.connection import redact, tracking_uri
from pipeline.weights.params import WeightsParams
from pipeline.weights.reading import check_weights_file, read_weights_file
from pipeline.weights.sources import cached_file, locate

_LOCAL = Path("weights")
_RECORD = Path("artifacts/weights/backbone.json")
_READ_AT_MOST = 1_000_000_000
"""Bytes of a file that is read and matched here; the stage does it with larger ones."""
_TIMEOUT_S = 5.0


def check_weights(
    weights: WeightsParams, transform: ShelfParams, normalize: NormalizeSection
) -> Generator[Finding, None, None]:
    """Find the source, and check what lies on this machine as the stage will.

    Args:
        weights: What is asked for.
        transform: The rows that they will be fed with.
        normalize: What is done to their values.

    Raises:
        ParamsError: The source does not exist, or is another architecture's.
        DataError: The file is missing, or no weights of this architecture.
        MachineError: The package is not installed, or the file must be downloaded and cannot be.
        IntegrityError: The file is damaged, or has another SHA-256.
    """
    kind, _, name = weights.source.partition(":")
    own = net(modality_for(weights.architecture))
    expected = own.expected(name if kind == "timm" else weights.architecture)
    if kind == "none":
        yield warn("params.yaml", "weights.source: none is a random start, nothing is pretrained")
    elif kind in own.SOURCES:
        yield _remote(weights, own.SOURCES[kind].remote(name, weights.architecture))
    elif kind == "model":
        yield _registered(weights, name)
    else:
        expected = yield from _local(weights, own)
    spec, size = transform.spec(), expected.input_size
    yield from _fit(weights, normalize, own.doubt(spec, weights.architecture, input_size=size))


def _local(weights: WeightsParams, net: Net) -> Generator[Finding, None, Expected]:
    """Read a file of this machine as the stage will; give what it expects."""
    with tempfile.TemporaryDirectory() as scratch:
        file = locate(
            weights.source,
            weights.architecture,
            net,
            local=_LOCAL,
            scratch=Path(scratch),
            resolve_model=_unasked,
        )
    sha256 = check_weights_file(file, weights, net)
    size = file.path.stat().st_size
    told = f"{size / 1e6:,.0f} MB, sha256 {sha256[:12]}..."
    if size > _READ_AT_MOST:
        yield ok(weights.source, f"{told}; too large to be read here")
        return file.expected
    read = read_weights_file(file, weights, net)
    yield ok(weights.source, f"{told}; {len(read.tensors)} tensors fit {weights.architecture}")
    if weights.sha256 is None:
        yield warn("params.yaml", "weights.sha256: null lets any file pass", f"write {sha256}")
    return file.expected


def _unasked(uri: str) -> Path:
    raise AssertionError(f"{uri} is not asked for here")


def _remote(weights: WeightsParams, remote: Remote) -> Finding:
    if _is_made(weights):
        return ok(weights.source, f"is in {_RECORD.parent} already")
    cached = cached_file(remote)
    if cached is not None:
        return ok(weights.source, f"is in {cached} already")
    request = urllib.request.Request(remote.url, headers={"User-Agent": "rootstock"}, method="HEAD")
    try:
        urllib.request.urlopen(request, timeout=_TIMEOUT_S).close()
    except (OSError, HTTPException, ValueError, urllib.error.URLError) as error:
        raise MachineError(
            remote.url,
            f"must be downloaded, and does not answer ({error})",
            remedy="the stage weights needs the network once; or put the file into weights/ and "
            "set weights.source: file:<name>",
        ) from error
    return ok(weights.source, f"will be downloaded from {remote.url}")


def _is_made(weights: WeightsParams) -> bool:
    """Return whether the stage has been there with this source."""
    try:
        record = read_json(_RECORD)
    except (DataError, IntegrityError):
        return False
    return isinstance(record, dict) and (record.get("source"), record.get("architecture")) == (
        weights.source,
        weights.architecture,
    )


def _registered(weights: WeightsParams, uri: str) -> Finding:
    if not uri.startswith("models:/") or not ("@" in uri or uri.count("/") > 1):
        raise ParamsError(
            "params.yaml",
            "must be model:models:/<name>@<alias> or model:models:/<name>/<version>",
            field="weights.source",
            got=weights.source,
        )
    return ok(weights.source, f"will be asked for at {redact(tracking_uri())}")


def _fit(
    weights: WeightsParams, normalize: NormalizeSection, doubt: Doubt | None
) -> Iterator[Finding]:
    """Yield where items will not be as the weights are used to."""
    if weights.source == "none":
        return
    if doubt:
        yield warn("params.yaml", doubt.text, doubt.remedy)
    if mode := normalize.unlike_weights:
        yield warn(
            "params.yaml",
            f"normalize.mode: {mode} is not what the weights were trained with",
            "fine if intended; else set it to pretrained",
        )
