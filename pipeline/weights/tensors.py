"""Named tensors in one file: safetensors, whole or absent, equal content in equal bytes.

Metadata is one JSON text under one key, `rootstock`: safetensors would write several keys in random
order. It holds a digest of the metadata and of every name, type, shape and value, since neither
safetensors nor torch notices a flipped bit.
"""

import hashlib
import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import Tensor

from pipeline.ground.errors import DataError, IntegrityError
from pipeline.ground.files import canonical_json, replacing

_KEY = "rootstock"
_LENGTH_BYTES = 8
_MAX_HEADER_BYTES = 100_000_000
"""The limit of safetensors itself."""
_REMEDY = "run `dvc checkout`, or make it again"


def save_tensors(path: Path, tensors: Mapping[str, Tensor], meta: Mapping[str, Any]) -> None:
    """Write tensors and JSON metadata; equal content gives equal bytes.

    Args:
        path: The file, replaced as a whole.
        tensors: Of any device and memory layout; their values are written row by row.
        meta: JSON values; numbers must be finite.
    """
    plain = {
        name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
        for name, tensor in tensors.items()
    }
    text = canonical_json({"meta": dict(meta), "sha256": _digest(plain, meta)})
    with replacing(path) as scratch:
        # not `save_file`: it gives its files mode 0600, whatever the umask
        scratch.write_bytes(save(plain, {_KEY: text}))


def load_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read tensors to the CPU, and the metadata; both exactly as they were saved.

    A safetensors file of other people has empty metadata, and no digest to check.

    Raises:
        DataError: There is no such file.
        IntegrityError: It is cut off, no safetensors file, or its values were changed.
    """
    _check_size(path)
    try:
        tensors: dict[str, Tensor] = load_file(path)
        with safe_open(path, framework="pt") as stream:
            metadata = stream.metadata() or {}
    except (SafetensorError, OSError, ValueError) as error:
        raise IntegrityError(
            path, f"not a readable safetensors file ({error})", remedy=_REMEDY
        ) from error
    if _KEY not in metadata:
        return tensors, {}
    try:
        record = json.loads(metadata[_KEY])
        meta, expected = dict(record["meta"]), record["sha256"]
    except (ValueError, KeyError, TypeError) as error:
        raise IntegrityError(path, "its metadata are damaged", remedy=_REMEDY) from error
    if _digest(tensors, meta) != expected:
        raise IntegrityError(
            path, "its values must be those that were saved, but they were changed", remedy=_REMEDY
        )
    return tensors, meta


def _digest(tensors: Mapping[str, Tensor], meta: Mapping[str, Any]) -> str:
    """Return the SHA-256, in hex, over metadata, names, types, shapes and values."""
    total = hashlib.sha256(canonical_json(dict(meta)).encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        total.update(f"{name}\0{tensor.dtype}\0{tuple(tensor.shape)}\0".encode())
        total.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return total.hexdigest()


def _check_size(path: Path) -> None:
    """Refuse a file that is cut off, with both sizes, before anything parses it."""
    try:
        size = path.stat().st_size
        with path.open("rb") as stream:
            prefix = stream.read(_LENGTH_BYTES)
            header_bytes = struct.unpack("<Q", prefix)[0] if len(prefix) == _LENGTH_BYTES else None
            if header_bytes is None:
                raise IntegrityError(path, f"truncated: {size} bytes", remedy=_REMEDY)
            if header_bytes > _MAX_HEADER_BYTES:
                raise IntegrityError(path, "not a readable safetensors file", remedy=_REMEDY)
            header = stream.read(header_bytes)
    except FileNotFoundError as error:
        raise DataError(path, "no such file", remedy="run `dvc repro` or `dvc checkout`") from error
    expected = _LENGTH_BYTES + header_bytes + _data_bytes(header)
    if size < expected:
        raise IntegrityError(path, f"truncated: {size} of {expected} bytes", remedy=_REMEDY)


def _data_bytes(header: bytes) -> int:
    """Return the number of bytes after the header, 0 where the header itself is damaged."""
    try:
        entries = json.loads(header)
        return max(
            (entry["data_offsets"][1] for name, entry in entries.items() if name != "__metadata__"),
            default=0,
        )
    except (ValueError, KeyError, TypeError, AttributeError, IndexError):
        return 0
