"""The multilingual encoder behind the class `Backbone`: `use_multilingual`.

Axes: B = texts, T = pieces, D = 512.
"""

import torch
from torch import Tensor, nn

from pipeline.modality.types.params import Pooling
from pipeline.text.net.base import TextBackbone, pick_cut, token_mask, without_padding
from pipeline.text.net.multilingual.encoder import WIDTH, Encoder
from pipeline.text.net.multilingual.pieces import Pieces
from pipeline.text.shelf.params import TextSpec
from pipeline.text.shelf.tokens import padded

MOST_PIECES = 8192
"""As `transform.max_tokens`: there are no positions that could run out."""

_CUTS = ("ngrams", "deep")
"""Below the first are the vectors of pieces, below the second the mean of a text."""


class MultilingualBackbone(TextBackbone):
    """The encoder with the pieces of its weights; its features are of the whole text.

    Args:
        model: The encoder.
        architecture: Its name.
    """

    model: Encoder

    def __init__(self, model: Encoder, architecture: str) -> None:
        super().__init__(model, Pieces(), architecture=architecture, most_tokens=MOST_PIECES)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the vector of each text, of length 1: [B, D]."""
        return self.upper(self.lower(inputs, _CUTS[0]), _CUTS[0])

    def cut_name(self, cut: str | int) -> str:
        """Return the name of a cut: `ngrams`, or `deep`.

        Raises:
            ParamsError: There is no such cut.
        """
        return pick_cut(_CUTS, cut, self.architecture)

    def lower(self, inputs: Tensor, cut: str) -> Tensor:
        """Return the vectors of pieces [B, T, D], or the mean of each text [B, D]."""
        values: Tensor = self.model.pieces(inputs)
        return values if cut == _CUTS[0] else self._means(values)

    def upper(self, activations: Tensor, cut: str) -> Tensor:
        """Return the vector of each text from what `lower` gives."""
        means = self._means(without_padding(activations)) if cut == _CUTS[0] else activations
        found: Tensor = self.model.deep(means)
        return found

    def shape_at(self, spec: TextSpec, cut: str | None, device: torch.device) -> tuple[int, ...]:
        """Return the shape of the vectors of a text of the most pieces, or of its mean."""
        del device
        return (padded(spec.max_tokens), WIDTH) if cut == _CUTS[0] else (WIDTH,)

    def groups(self, cut: str | None) -> list[list[nn.Parameter]]:
        """Return the deep layers, above those of n-grams if these are not below the cut."""
        deep = list(self.model.deep.parameters())
        above = {id(each) for each in deep}
        ngrams = [each for each in self.model.parameters() if id(each) not in above]
        return [deep] if cut == _CUTS[1] else [ngrams, deep]

    def pool(self, features: Tensor, pooling: Pooling) -> Tensor:
        """Return the features in float32: they are of the whole text."""
        del pooling
        return features.float()

    def pooled_dim(self, pooling: Pooling) -> int:
        """Return D, whatever the pooling."""
        del pooling
        return WIDTH

    def _means(self, values_BTD: Tensor) -> Tensor:
        mask_BT1 = token_mask(values_BTD)[..., None].to(values_BTD.dtype)
        return self.model.means(values_BTD, mask_BT1)
