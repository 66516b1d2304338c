"""The exported model as plain modules of torch: numbers of tokens in, answers out.

The same classes, and those of the encoders, are written into the program of the formats that hold
tensors alone.

Axes: B = texts, T = tokens, zero where there is none, D = pooled features, K = outputs.
"""

import torch
from torch import Tensor, nn

from pipeline.export.answers import Answering
from pipeline.modality.types.params import Pooling
from pipeline.text.net.base import pool_tokens, token_mask
from pipeline.text.net.bert import Bert
from pipeline.text.net.multilingual.encoder import Encoder
from pipeline.text.net.words.cnn import CnnModel
from pipeline.text.net.words.vectors import WordModel, word_weights


class BertFeatures(nn.Module):
    """The pooled vectors of BERT."""

    def __init__(self, model: Bert, pooling: Pooling) -> None:
        super().__init__()
        self.model = model
        self.pooling: Pooling = pooling

    def forward(self, tokens: Tensor) -> Tensor:
        """Return [B, D]."""
        return pool_tokens(self.model.upper(self.model.lower(tokens, 0), 0), self.pooling)


class VectorFeatures(nn.Module):
    """The pooled vectors of words.

    Args:
        model: The vectors.
        pooling: Over a text.
        is_weighted: Whether frequent words count less.
    """

    def __init__(self, model: WordModel, pooling: Pooling, *, is_weighted: bool) -> None:
        super().__init__()
        self.model = model
        self.pooling: Pooling = pooling
        self.is_weighted = is_weighted

    def forward(self, tokens: Tensor) -> Tensor:
        """Return [B, D]."""
        values: Tensor = self.model.table(tokens)
        if self.is_weighted:
            values = values * word_weights(len(self.model.table))[tokens][..., None]
        return pool_tokens(values, self.pooling)


class FilterFeatures(nn.Module):
    """Filters over the vectors of words, and the mean of these."""

    def __init__(self, model: CnnModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, tokens: Tensor) -> Tensor:
        """Return [B, D]."""
        values: Tensor = self.model.table(tokens)
        return torch.cat([self.model.filters(values), pool_tokens(values, "mean")], dim=1)


class SentenceFeatures(nn.Module):
    """The vector that an encoder of sentences gives."""

    def __init__(self, model: Encoder) -> None:
        super().__init__()
        self.model = model

    def forward(self, tokens: Tensor) -> Tensor:
        """Return [B, D]."""
        values: Tensor = self.model.pieces(tokens)
        means = self.model.means(values, token_mask(values)[..., None].to(values.dtype))
        features: Tensor = self.model.deep(means)
        return features


class TextModel(Answering):
    """Tokens in; probabilities, or values in the unit of the target, out.

    Args:
        encoder: Gives [B, D].
        features: D.
        outputs: K.
        temperature: See `Answering`.
        target: See `Answering`.
    """

    def __init__(
        self,
        encoder: nn.Module,
        features: int,
        outputs: int,
        *,
        temperature: float | None,
        target: tuple[float, float],
    ) -> None:
        super().__init__(temperature, target)
        self.encoder = encoder
        self.classifier = nn.Linear(features, outputs)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return probabilities, float32 [B, K], or values, float64 [B, 1].

        Args:
            tokens: int64 [B, T], filled up with zeros.
        """
        return self.answers(self.classifier(self.encoder(tokens)))
