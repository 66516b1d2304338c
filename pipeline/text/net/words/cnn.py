"""Convolutions over word vectors behind the class `Backbone`: `cnn_<D>d`.

Source: Kim (2014): filters over 3, 4 and 5 words, 100 of each, ReLU, the maximum over the text.
The mean of the vectors stands beside these maxima, so that the linear probe that training starts
from has something to go by: filters start at random, the same each time.

Axes: B = texts, T = words, D = width, F = filters.
"""

import re
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.modality.types.params import Pooling
from pipeline.text.net.base import pick_cut, pool_tokens, token_mask, without_padding
from pipeline.text.net.words.vectors import VectorsBackbone, WordModel
from pipeline.text.shelf.normalization import TextNormalization

RANDOM = "random_start"
"""In the record of weights: the parts that start at random."""

STEP = "filters"
"""The one cut: below it are the vectors."""

_NAME = re.compile(r"cnn_([1-9]\d{0,3})d")
_WINDOWS = (3, 4, 5)
_FILTERS = 100


def width_of(architecture: str) -> int | None:
    """Return the D of `cnn_<D>d`; None for another name."""
    found = _NAME.fullmatch(architecture)
    return int(found[1]) if found else None


class Filters(nn.Module):
    """Convolutions over a text, and the maximum of each."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.windows = nn.ModuleList(
            nn.Conv1d(width, _FILTERS, window, padding=window - 1) for window in _WINDOWS
        )

    def forward(self, values_BTD: Tensor) -> Tensor:
        """Return [B, F], at least zero; windows that hold no word do not count."""
        places = torch.arange(1, values_BTD.shape[1] + 1, device=values_BTD.device)
        lengths_B = (token_mask(values_BTD) * places).amax(dim=1)
        found = []
        for window, layer in zip(_WINDOWS, self.windows, strict=True):
            maps = functional.relu(layer(values_BTD.transpose(1, 2)))
            ends = torch.arange(maps.shape[-1], device=maps.device)
            is_seen = (ends < lengths_B[:, None] + window - 1) & (lengths_B[:, None] > 0)
            found.append((maps * is_seen[:, None]).amax(dim=-1))
        return torch.cat(found, dim=1)


class CnnModel(WordModel):
    """A table and filters."""

    def __init__(self, width: int) -> None:
        super().__init__(width)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(1)
            self.filters = Filters(width)


class CnnBackbone(VectorsBackbone):
    """Filters over word vectors.

    Args:
        model: Table and filters.
        architecture: Its name.
    """

    model: CnnModel
    modes: tuple[str, ...] = ("none",)

    def facts(self, normalization: TextNormalization) -> dict[str, Any]:
        """Return that filters, once they were trained, do not start at random."""
        del normalization
        return {RANDOM: []}

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the maxima of all filters, and the mean of the vectors: [B, F + D]."""
        return self.upper(self.lower(inputs, STEP), STEP)

    def cut_name(self, cut: str | int) -> str:
        """Return the one cut, `filters`.

        Raises:
            ParamsError: Another one is asked for.
        """
        return pick_cut((STEP,), cut, self.architecture)

    def lower(self, inputs: Tensor, cut: str) -> Tensor:
        """Return the vectors of all words: [B, T, D]."""
        del cut
        return super().forward(inputs)

    def upper(self, activations: Tensor, cut: str) -> Tensor:
        """Return what `forward` does, from the vectors."""
        del cut
        values = without_padding(activations)
        means = pool_tokens(values, "mean").to(values.dtype)
        return torch.cat([self.model.filters(values), means], dim=1)

    def groups(self, cut: str | None) -> list[list[nn.Parameter]]:
        """Return the filters, above the table if it is not below the cut."""
        table = [] if cut else [list(self.model.table.parameters())]
        return [*table, list(self.model.filters.parameters())]

    def pool(self, features: Tensor, pooling: Pooling) -> Tensor:
        """Return the features in float32: they are of the whole text."""
        del pooling
        return features.float()

    def pooled_dim(self, pooling: Pooling) -> int:
        """Return F + D, whatever the pooling."""
        del pooling
        return len(_WINDOWS) * _FILTERS + self.model.width
