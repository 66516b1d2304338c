"""Averaged word vectors behind the class `Backbone`: `vectors_<D>d`.

Source of the weights of words: Arora et al. (2017), a / (a + p), with p by the rank of a word
(Zipf), since tables of vectors are in the order of frequency.

Axes: B = texts, T = words, D = width, V = rows of the table.
"""

import re
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.modality.types.params import Pooling
from pipeline.text.net.base import TextBackbone, pick_cut, pool_tokens
from pipeline.text.net.words.vocabulary import FIRST, Words
from pipeline.text.shelf.normalization import TextNormalization
from pipeline.text.shelf.params import TextSpec
from pipeline.text.shelf.tokens import PAD, padded

MOST_WORDS = 8192
"""As `transform.max_tokens`: there are no positions that could run out."""

_NAME = re.compile(r"vectors_([1-9]\d{0,3})d")
_RARE = 1e-3
"""The a of the source: a word of this share counts half."""


def width_of(architecture: str) -> int | None:
    """Return the D of `vectors_<D>d`; None for another name."""
    found = _NAME.fullmatch(architecture)
    return int(found[1]) if found else None


class WordTable(nn.Module):
    """A vector for each word; it has as many rows as the weights that are loaded.

    The first rows can be trained. What is rare stays as it is: a few examples would move it little,
    and a step would take ten times as long.
    """

    rare: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(FIRST, width))
        self.register_buffer("rare", torch.zeros(0, width))

    def __len__(self) -> int:
        """Return V."""
        return len(self.weight) + len(self.rare)

    def forward(self, words_BT: Tensor) -> Tensor:
        """Return [B, T, D], zero where there is no word."""
        beyond = words_BT - len(self.weight)
        common = torch.where(beyond < 0, words_BT, PAD)
        found = functional.embedding(common, self.weight, padding_idx=PAD)
        if not len(self.rare):
            return found
        rare = functional.embedding(beyond.clamp(min=0), self.rare)
        return torch.where((beyond < 0)[..., None], found, rare)

    def _load_from_state_dict(self, state_dict: dict[str, Tensor], prefix: str, *rest: Any) -> None:
        """Take as many rows as there are."""
        for name in ("weight", "rare"):
            own, found = getattr(self, name), state_dict.get(f"{prefix}{name}")
            if found is not None and found.shape[1:] == own.shape[1:]:
                own.data = own.new_empty(found.shape)
        super()._load_from_state_dict(state_dict, prefix, *rest)


def word_weights(rows: int) -> Tensor:
    """Return how much each row counts by the source, float32 [V]."""
    ranks = torch.arange(1, rows - FIRST + 1, dtype=torch.float64)
    shares = 1 / ranks / (1 / ranks).sum()
    weights = _RARE / (_RARE + shares)
    return torch.cat([torch.zeros(FIRST, dtype=torch.float64), weights]).float()


class WordModel(nn.Module):
    """A table, and what is above it."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.table = WordTable(width)


class VectorsBackbone(TextBackbone):
    """A table of word vectors, pooled.

    Args:
        model: The table.
        architecture: Its name.
    """

    model: WordModel
    modes: tuple[str, ...] = ("none", "sif")

    def __init__(self, model: WordModel, architecture: str) -> None:
        super().__init__(model, Words(), architecture=architecture, most_tokens=MOST_WORDS)
        self.is_weighted = False

    def prepare(self, normalization: TextNormalization) -> nn.Module:
        """Return what makes int64 [B, T] of rows; from now on words count as is said here."""
        self.is_weighted = normalization.mode == "sif"
        return super().prepare(normalization)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the vectors of all words: [B, T, D]."""
        values: Tensor = self.model.table(inputs)
        if self.is_weighted:
            weights_V = word_weights(len(self.model.table)).to(inputs.device)
            values = values * weights_V[inputs][..., None]
        return values

    def cut_name(self, cut: str | int) -> str:
        """Raise: there is nothing between the vectors and their mean.

        Raises:
            ParamsError: Always.
        """
        return pick_cut((), cut, self.architecture)

    def lower(self, inputs: Tensor, cut: str) -> Tensor:
        """Raise: there is no cut."""
        raise KeyError(cut)

    def upper(self, activations: Tensor, cut: str) -> Tensor:
        """Raise: there is no cut."""
        raise KeyError(cut)

    def shape_at(self, spec: TextSpec, cut: str | None, device: torch.device) -> tuple[int, ...]:
        """Return the shape of the vectors of a text of the most words."""
        del cut, device
        return (padded(spec.max_tokens), self.model.width)

    def groups(self, cut: str | None) -> list[list[nn.Parameter]]:
        """Return the table."""
        del cut
        return [list(self.model.parameters())]

    def pool(self, features: Tensor, pooling: Pooling) -> Tensor:
        """Pool over the words of each text, in float32; of a text without any: zeros."""
        return pool_tokens(features, pooling)

    def pooled_dim(self, pooling: Pooling) -> int:
        """Return D, or 2 D."""
        return self.model.width * len(pooling.split("+"))
