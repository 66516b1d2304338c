"""One file of weights, read safely: what it is, whether it is whole, and the tensors in it.

Only state dicts are read, by torch's restricted reader or as safetensors. The first bytes are
checked before anything is parsed: for an HTML page, torch would advise to switch its safety off.
"""

import pickle
import re
import struct
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pipeline.ground.errors import DataError, IntegrityError, PipelineError
from pipeline.ground.files import sha256_file
from pipeline.raw.sniff import HEAD_BYTES, sniff
from pipeline.weights.tensors import load_tensors

_ZIP = b"PK\x03\x04"
_PICKLE = b"\x80"
_SAFETENSORS_BRACE_AT = 8
_REMEDY = "download the file again"
_SHOWN = 5

_DAMAGE = (
    RuntimeError,
    EOFError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    OverflowError,
    struct.error,
    zipfile.BadZipFile,
    AssertionError,
    OSError,
)
"""What torch's reader raises on damaged files, as seen in fuzzing."""


def check_file(path: Path, sha256: str | None, *, has_form: bool = False) -> str:
    """Check that a file can hold weights and is the expected one; return its SHA-256.

    Args:
        path: The file.
        sha256: In hex; None: any file will do.
        has_form: Whether it has a form of its own, which what reads it checks.

    Raises:
        DataError: It is missing, or something else, such as an HTML page.
        IntegrityError: It is empty, or has another SHA-256.
    """
    if not path.is_file():
        raise DataError(path, "no such file", remedy="see weights.source in params.yaml")
    if not has_form:
        _kind(path)
    elif not path.stat().st_size:
        raise IntegrityError(path, "is empty", remedy=_REMEDY)
    found = sha256_file(path)
    if sha256 is not None and found != sha256.lower():
        raise IntegrityError(
            path,
            f"its SHA-256 must be {sha256.lower()} (weights.sha256)",
            got=found,
            remedy="download the file again, or change weights.sha256 where another is meant",
        )
    return found


def read_state_dict(path: Path, key: str | None) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read the tensors of a file to the CPU, in the file's order, and our own metadata if any.

    Args:
        path: A file that passed `check_file`.
        key: The key of the state dict, if it is nested.

    Raises:
        DataError: It holds something else than tensors by name.
        IntegrityError: It is cut off or damaged.
    """
    if _kind(path) == "safetensors":
        tensors, meta = load_tensors(path)
        content: Any = tensors
    else:
        content, meta = _read_torch(path), {}
    if key is not None:
        content = _pick(path, content, key)
    return _check_state_dict(path, content), meta


def _kind(path: Path) -> str:
    with path.open("rb") as stream:
        head = stream.read(HEAD_BYTES)
    if not head:
        raise IntegrityError(path, "is empty", remedy=_REMEDY)
    if head.startswith(_ZIP):
        return "zip"
    if head.startswith(_PICKLE):
        return "pickle"
    if head[_SAFETENSORS_BRACE_AT : _SAFETENSORS_BRACE_AT + 1] == b"{":
        return "safetensors"
    found = sniff(head) or "something else"
    raise DataError(path, f"must be a PyTorch or safetensors file, but is {found}", remedy=_REMEDY)


def _read_torch(path: Path) -> Any:
    if _kind(path) == "zip":
        _check_archive(path)
    try:
        with warnings.catch_warnings(action="ignore"):  # of pickle protocols and old formats
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise _only_state_dicts(path, str(error)) from error
    except _DAMAGE as error:
        size = path.stat().st_size
        missing = re.search(r"expected (\d+) more bytes", str(error))
        rule = (
            f"truncated: {size} of at least {size + int(missing[1])} bytes"
            if missing
            else (f"truncated or damaged ({size} bytes)")
        )
        raise IntegrityError(path, rule, remedy=_REMEDY) from error


def _check_archive(path: Path) -> None:
    """Check what torch would say in five lines: a whole zip archive with torch's content."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except _DAMAGE as error:
        raise IntegrityError(
            path,
            f"truncated: the archive has no end after {path.stat().st_size} bytes",
            remedy=_REMEDY,
        ) from error
    if any(name.endswith("/constants.pkl") for name in names):
        raise _only_state_dicts(path, "GLOBAL TorchScript")
    if not any(name.endswith("/data.pkl") for name in names):
        raise IntegrityError(
            path,
            f"a zip archive without PyTorch tensors, its first file is {names[:1]}",
            remedy="unpack it, or download the file again",
        )


def _only_state_dicts(path: Path, reason: str) -> PipelineError:
    """Return what torch refused, without its advice to switch the safety off."""
    found = re.search(r"(?:GLOBAL|class|function) ([\w.]+)", reason)
    holds = f"but this one refers to {found[1]}" if found else "but this one holds other objects"
    return DataError(
        path,
        f"only state dicts are loaded, {holds}",
        remedy="save `model.state_dict()` where the model was made",
    )


def _pick(path: Path, content: Any, key: str) -> Any:
    if isinstance(content, Mapping) and key in content:
        return content[key]
    names = sorted(map(str, content)) if isinstance(content, Mapping) else []
    shown = ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
    raise DataError(
        path, "no such key in the file", field="weights.key", got=key, remedy=f"there is: {shown}"
    )


def _check_state_dict(path: Path, content: Any) -> dict[str, Tensor]:
    if not isinstance(content, Mapping) or not content:
        raise DataError(
            path,
            "must be a state dict (tensors by name), but is",
            got=type(content).__name__,
            remedy="save `model.state_dict()` where the model was made",
        )
    nested = [name for name, value in content.items() if isinstance(value, Mapping) and value]
    if nested:
        raise DataError(
            path,
            "the state dict is nested in the file",
            remedy=f"set weights.key to one of: {', '.join(map(str, nested))}",
        )
    others = [name for name, value in content.items() if not isinstance(value, Tensor)]
    if others:
        kind = type(content[others[0]]).__name__
        raise DataError(
            path,
            f"must hold tensors only, but {len(others)} of {len(content)} values are none; "
            f"first: {others[0]!r} ({kind})",
        )
    return {str(name): value for name, value in content.items()}
