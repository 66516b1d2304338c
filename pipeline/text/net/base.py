"""What backbones of texts have in common: rows of UTF-8 in, by the tokenizer of their weights.

Axes: B = texts, L = bytes of a row, T = tokens, D = width.
"""

from abc import ABC
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from pipeline.ground.errors import ParamsError
from pipeline.modality.types.backbone import Backbone, Sizes
from pipeline.modality.types.params import Pooling
from pipeline.store.shards import Array
from pipeline.text.shelf.normalization import TextNormalization
from pipeline.text.shelf.params import BYTES_PER_TOKEN, TextSpec
from pipeline.text.shelf.rows import row_text
from pipeline.text.shelf.tokens import Tokenizer, padded

LOWEST = torch.finfo(torch.float32).min
"""Of a softmax or a maximum: what counts for nothing, and is a number."""


class Tokens(nn.Module):
    """A tokenizer that is no part of this module: its file is among the tensors of the model."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        super().__init__()
        self._held = (tokenizer,)

    @property
    def tokenizer(self) -> Tokenizer:
        """Return it."""
        return self._held[0]

    def forward(self, rows_BL: Tensor) -> Tensor:
        """Return the tokens of rows: int64 [B, T]."""
        found: Tensor = self.tokenizer(rows_BL)
        return found


class TextBackbone(Backbone, ABC):
    """A backbone that begins with tokens.

    Args:
        model: Gets the tokenizer as a part.
        tokenizer: Without its file, which comes with the weights.
        architecture: Its name.
        most_tokens: As `input_size`.
    """

    has_sizes = True
    modes: tuple[str, ...] = ("none",)
    """Values of `normalize.mode` that it can have."""

    def __init__(
        self, model: nn.Module, tokenizer: Tokenizer, *, architecture: str, most_tokens: int
    ) -> None:
        super().__init__()
        self.model = model
        self.read = Tokens(tokenizer)
        model.add_module("tokenizer", tokenizer)
        self.architecture = architecture
        self.input_size = (most_tokens,)

    def check(self, spec: TextSpec) -> None:
        """Check that so many tokens can be read.

        Raises:
            ParamsError: They cannot.
        """
        if spec.max_tokens > self.input_size[0]:
            raise ParamsError(
                "params.yaml",
                f"must be at most {self.input_size[0]} for {self.architecture}",
                field="text.transform.max_tokens",
                got=spec.max_tokens,
            )

    def prepare(self, normalization: TextNormalization) -> nn.Module:
        """Return the tokenizer, which makes int64 [B, T] of rows."""
        normalization.require(*self.modes, architecture=self.architecture)
        return self.read

    def facts(self, normalization: TextNormalization) -> dict[str, Any]:
        """Return that records say no more."""
        del normalization
        return {}

    def sizes(self, rows: Array) -> Sizes:
        """Return T of each row."""
        most = rows.shape[1] // BYTES_PER_TOKEN
        read = self.read.tokenizer.read
        return np.array([padded(len(read(row_text(row), most))) for row in rows], dtype=np.int64)

    def notes(self, rows: Array) -> Sequence[Sequence[str]]:
        """Say of which texts the last tokens are not read."""
        most = rows.shape[1] // BYTES_PER_TOKEN
        counts = (self.read.tokenizer.count(row_text(row))[0] for row in rows)
        told = "cut_off: only the first {} of {} tokens are read"
        return [(told.format(most, count),) if count > most else () for count in counts]

    def fold(self) -> None:
        """Change nothing: there is nothing to merge."""

    def speed_up(self) -> None:
        """Change nothing."""


def pick_cut(names: Sequence[str], cut: str | int, architecture: str) -> str:
    """Return the name of a cut of those that there are, by that name or its number.

    Raises:
        ParamsError: There is no such cut.
    """
    if isinstance(cut, int) and -len(names) <= cut < len(names):
        return names[cut]
    if cut in names:
        return str(cut)
    raise ParamsError(
        "params.yaml",
        f"must be one of {', '.join(names)}, or a number from {-len(names)} to {len(names) - 1}"
        if names
        else f"must be none: {architecture} has no steps",
        field="features.cut",
        got=cut,
    )


def token_mask(values_BTD: Tensor) -> Tensor:
    """Return where there are tokens, bool [B, T]: elsewhere vectors are zero."""
    return (values_BTD != 0).any(dim=-1)


def without_padding(values_BTD: Tensor) -> Tensor:
    """Cut off what is beyond the tokens of the longest text."""
    places = torch.arange(1, values_BTD.shape[1] + 1, device=values_BTD.device)
    longest = int((token_mask(values_BTD) * places).max())
    return values_BTD[:, : padded(longest)].contiguous()


def pool_tokens(features_BTD: Tensor, pooling: Pooling) -> Tensor:
    """Pool over the tokens of each text, in float32: [B, D] or [B, 2 D]."""
    with torch.autocast(features_BTD.device.type, enabled=False):
        values = features_BTD.float()
        mask = token_mask(values)[..., None]
        parts = {
            "mean": lambda: values.sum(dim=1) / mask.sum(dim=1).clamp(min=1),
            "max": lambda: values.masked_fill(~mask, LOWEST).amax(dim=1) * mask.any(dim=1),
        }
        return torch.cat([parts[kind]() for kind in pooling.split("+")], dim=1)
