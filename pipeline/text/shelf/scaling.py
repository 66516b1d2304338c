"""The Scaling of texts: what the network reads of them, by split; no value is changed.

Axes: N = texts of a split.
"""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.ground.errors import IntegrityError
from pipeline.modality.types.protocols import StoredRows, Weights
from pipeline.store.shards import Array
from pipeline.text.shelf.normalization import TextNormalization
from pipeline.text.shelf.params import BYTES_PER_TOKEN, TextNormalizeParams
from pipeline.text.shelf.plots import length_histograms
from pipeline.text.shelf.rows import row_text
from pipeline.text.shelf.tokens import TENSOR, Tokenizer
from pipeline.weights.tensors import load_tensors

log = logging.getLogger(__name__)

Counts = npt.NDArray[np.int64]

_SPLITS = ("train", "val", "test")
_CHUNK = 4096
_QUANTILES = (0.5, 0.95)
_TOLD_SHARE = 0.01
"""Of texts that are cut off, from which a warning tells of them."""

_UNKNOWN_SHARE = 0.05
"""Likewise of tokens that are unknown: some words of any language have no vector."""


class TextScaling:
    """Counts of tokens."""

    params = TextNormalizeParams

    def fit(
        self,
        store: StoredRows,
        params: TextNormalizeParams,
        *,
        weights: Weights,
        plots: Path | None,
    ) -> dict[str, Any]:
        """Count the tokens of every split, those that are cut off, and those that are unknown."""
        tokenizer = load_tokenizer(weights.backbone)
        found = {split: _count(store, split, tokenizer) for split in _SPLITS}
        most = store.read(np.zeros(1, np.int64)).shape[1] // BYTES_PER_TOKEN
        splits = {split: _describe(counts, most) for split, counts in found.items()}
        _warn(splits, found["train"], params.drift_warn, most)
        if plots is not None:
            lengths = {split: counts[:, 0] for split, counts in found.items()}
            read = {split: np.minimum(each, most) for split, each in lengths.items()}
            length_histograms(plots / "before.png", lengths, "Tokens of a text")
            length_histograms(plots / "after.png", read, f"Tokens that are read, {most} at most")
        return {**TextNormalization(params.mode).to_dict(), "max_tokens": most, "splits": splits}


SCALING = TextScaling()


def load_tokenizer(backbone: Path) -> Tokenizer:
    """Read the tokenizer out of a file of weights.

    Raises:
        DataError: The file is missing.
        IntegrityError: It is damaged, or holds no tokenizer.
    """
    tensors, _ = load_tensors(backbone)
    if TENSOR not in tensors:
        raise IntegrityError(backbone, "holds no tokenizer", remedy="run `dvc repro weights`")
    tokenizer = Tokenizer()
    tokenizer.load_state_dict({"file": tensors[TENSOR]})
    return tokenizer


def _count(store: StoredRows, split: str, tokenizer: Tokenizer) -> Counts:
    """Return of each text its tokens, those that are unknown, and whether its row is full."""
    rows = store.rows(split)
    parts = np.array_split(rows, max(1, -(-len(rows) // _CHUNK)))
    found = [_count_row(row, tokenizer) for part in parts for row in store.read(part)]
    return np.array(found, dtype=np.int64).reshape(-1, 3)


def _count_row(row: Array, tokenizer: Tokenizer) -> tuple[int, int, int]:
    is_full = int(row[-4:].any())  # else a character more, of 4 bytes at most, would fit in
    return (*tokenizer.count(row_text(row)), is_full)


def _describe(counts: Counts, most: int) -> dict[str, Any]:
    if not len(counts):
        return {"items": 0}
    tokens = counts[:, 0]
    quantiles = np.quantile(tokens, _QUANTILES, method="higher")
    return {
        "items": len(tokens),
        "mean_tokens": float(tokens.mean()),
        "median_tokens": int(quantiles[0]),
        "p95_tokens": int(quantiles[1]),
        "largest_tokens": int(tokens.max()),
        "cut_off": int(((tokens > most) | (counts[:, 2] > 0)).sum()),
        "unknown_share": float(counts[:, 1].sum() / max(1, tokens.sum())),
    }


def _warn(splits: dict[str, dict[str, Any]], train: Counts, drift_warn: float, most: int) -> None:
    items = sum(each["items"] for each in splits.values())
    cut_off = sum(each.get("cut_off", 0) for each in splits.values())
    if cut_off:
        level = logging.WARNING if cut_off > _TOLD_SHARE * items else logging.INFO
        told = "normalize: %d of %d texts are longer than text.transform.max_tokens: %d; %s"
        log.log(level, told, cut_off, items, most, "what is beyond is not read")
    deviation = float(train[:, 0].std()) if len(train) else 0.0
    for split, each in splits.items():
        if each.get("unknown_share", 0.0) > _UNKNOWN_SHARE:
            share = 100 * each["unknown_share"]
            log.warning(
                "normalize: %.1f %% of the tokens of %s are unknown to the weights: are they for "
                "this language?",
                share,
                split,
            )
        if split == "train" or not each["items"] or not deviation:
            continue
        shift = abs(each["mean_tokens"] - splits["train"]["mean_tokens"]) / deviation
        if shift > drift_warn:
            log.warning(
                "normalize: texts of %s are %.1f tokens long in the mean, those of train %.1f",
                split,
                each["mean_tokens"],
                splits["train"]["mean_tokens"],
            )
