"""The multilingual Universal Sentence Encoder, version 3, small: a vector of each text.

Source: Yang et al. (2019); the averaging of n-grams and the deep layers after it are those of
Iyyer et al. (2015). Vectors of pieces are stored in 8 bits and are not trained; all else is.

Axes: B = texts, T = pieces, D = 512, C = 256, V = pieces known.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.text.shelf.tokens import PAD

WIDTH = 512
PIECES = 128010
SCALES = 17
"""Of the vectors of pieces: they take turns."""

_CHANNELS = 256
_HIDDEN = 320
_EPSILON = 1e-12
_WINDOWS = ((2, 0), (3, 1), (5, 2))
"""How many pieces an n-gram has, and how many of them come before its place."""


class Vectors(nn.Module):
    """Numbers of pieces to vectors; the first row is padding."""

    table: Tensor
    scale: Tensor
    low: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("table", torch.zeros(1 + PIECES, WIDTH, dtype=torch.uint8))
        self.register_buffer("scale", torch.ones(SCALES))
        self.register_buffer("low", torch.zeros(SCALES))

    def forward(self, pieces_BT: Tensor) -> Tensor:
        """Return [B, T, D], zero where there is no piece."""
        turns = (pieces_BT - 1) % SCALES
        values = self.table[pieces_BT].to(self.scale.dtype)
        values = values * self.scale[turns][..., None] + self.low[turns][..., None]
        return values * (pieces_BT != PAD)[..., None]


class Ngrams(nn.Module):
    """Two layers over the pieces around each place, with their sums."""

    def __init__(self, window: int, before: int) -> None:
        super().__init__()
        self.around = (before, window - 1 - before)
        self.inner = nn.Linear(window * _CHANNELS, _CHANNELS)
        self.outer = nn.Linear(window * _CHANNELS, _CHANNELS)

    def forward(self, values_BTC: Tensor, mask_BT1: Tensor) -> Tensor:
        """Return [B, T, C]."""
        found = values_BTC
        for layer in (self.inner, self.outer):
            found = functional.relu(layer(self._windows(found * mask_BT1))) + found
        return found

    def _windows(self, values_BTC: Tensor) -> Tensor:
        """Return what stands around each place, side by side: [B, T, window * C]."""
        length = values_BTC.shape[1]
        wide = functional.pad(values_BTC, (0, 0, *self.around))
        return torch.cat([wide[:, at : at + length] for at in range(sum(self.around) + 1)], dim=-1)


class Deep(nn.Module):
    """Layers from the mean of a text to its vector, of length 1."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(WIDTH, _HIDDEN, bias=False)
        self.second = nn.Linear(_HIDDEN, _HIDDEN, bias=False)
        self.past_first = nn.Linear(WIDTH, _HIDDEN, bias=False)
        self.third = nn.Linear(_HIDDEN, WIDTH, bias=False)
        self.last = nn.Linear(WIDTH, WIDTH, bias=False)
        self.past_third = nn.Linear(_HIDDEN, WIDTH, bias=False)

    def forward(self, means_BD: Tensor) -> Tensor:
        """Return [B, D]."""
        low = functional.relu(self.first(means_BD))
        middle = functional.relu(self.past_first(means_BD) + self.second(low))
        high = functional.relu(self.third(middle))
        found = torch.tanh(self.past_third(middle) + self.last(high))
        length = found.square().sum(dim=1, keepdim=True).clamp(min=_EPSILON).sqrt()
        return found / length


class Encoder(nn.Module):
    """Pieces to a vector of each text."""

    def __init__(self) -> None:
        super().__init__()
        self.pieces = Vectors()
        self.project = nn.Linear(WIDTH, len(_WINDOWS) * _CHANNELS)
        self.project_norm = nn.LayerNorm(len(_WINDOWS) * _CHANNELS, eps=_EPSILON)
        self.ngrams = nn.ModuleList(Ngrams(*each) for each in _WINDOWS)
        self.norm = nn.LayerNorm(WIDTH + len(_WINDOWS) * _CHANNELS, eps=_EPSILON)
        self.sum = nn.Linear(WIDTH + len(_WINDOWS) * _CHANNELS, WIDTH)
        self.deep = Deep()

    def means(self, values_BTD: Tensor, mask_BT1: Tensor) -> Tensor:
        """Return the sum over pieces by the root of their number: [B, D]."""
        narrow = self.project_norm(self.project(values_BTD)).chunk(len(_WINDOWS), dim=-1)
        parts = [layer(part, mask_BT1) for layer, part in zip(self.ngrams, narrow, strict=True)]
        each = self.sum(self.norm(torch.cat([values_BTD, *parts], dim=-1))) * mask_BT1
        means: Tensor = each.sum(dim=1) / mask_BT1.sum(dim=1).clamp(min=1).sqrt()
        return means


def random_encoder() -> Encoder:
    """Build one with random weights, the same each time."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        return Encoder().eval()
