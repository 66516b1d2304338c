"""BERT behind the class `Backbone`: rows of UTF-8 in, a vector for each token out.

Axes: B = texts, T = tokens, D = width.
"""

import torch
from torch import Tensor, nn

from pipeline.modality.types.params import Pooling
from pipeline.text.net.base import TextBackbone, pick_cut, pool_tokens, without_padding
from pipeline.text.net.bert import Bert
from pipeline.text.shelf.params import TextSpec
from pipeline.text.shelf.tokens import Tokenizer, in_windows, padded


class BertBackbone(TextBackbone):
    """BERT with the tokenizer of its weights.

    Args:
        model: The encoder.
        architecture: Its name.
    """

    model: Bert

    def __init__(self, model: Bert, architecture: str) -> None:
        tokenizer, positions = Tokenizer(), model.shape.positions
        tokenizer.window = positions
        super().__init__(model, tokenizer, architecture=architecture, most_tokens=positions)

    def check(self, spec: TextSpec) -> None:
        """Accept any number of tokens: a longer text is read in windows."""
        del spec

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the vectors of all tokens: [B, T, D]."""
        return self.model.upper(self.model.lower(inputs, 0), 0)

    def cut_name(self, cut: str | int) -> str:
        """Return the name of the lowest block above a cut: `block3`, by that name or its number.

        Raises:
            ParamsError: There is no such block.
        """
        names = [f"block{number}" for number in range(self.model.shape.layers)]
        return pick_cut(names, cut, self.architecture)

    def lower(self, inputs: Tensor, cut: str) -> Tensor:
        """Return what enters a block: [B, T, D]."""
        return self.model.lower(inputs, _number(cut))

    def upper(self, activations: Tensor, cut: str) -> Tensor:
        """Return the vectors of all tokens from what enters a block."""
        return self.model.upper(without_padding(activations), _number(cut))

    def shape_at(self, spec: TextSpec, cut: str | None, device: torch.device) -> tuple[int, ...]:
        """Return the shape of the vectors of a text of the most tokens, marks of windows too."""
        del cut, device
        longest = in_windows([0] * spec.max_tokens, self.model.shape.positions)
        return (padded(len(longest)), self.model.shape.width)

    def groups(self, cut: str | None) -> list[list[nn.Parameter]]:
        """Return the parameters from a cut (None: the embeddings) upwards, by block."""
        blocks = [list(each.parameters()) for each in self.model.encoder.layer]
        if cut is not None:
            return blocks[_number(cut) :]
        return [list(self.model.embeddings.parameters()), *blocks]

    def pool(self, features: Tensor, pooling: Pooling) -> Tensor:
        """Pool over the tokens of each text, in float32: [B, D]."""
        return pool_tokens(features, pooling)

    def pooled_dim(self, pooling: Pooling) -> int:
        """Return D."""
        return self.model.shape.width * len(pooling.split("+"))

    def fold(self) -> None:
        """Compute each text in the same way, whatever is beside it."""
        self.model.packs = False

    def speed_up(self) -> None:
        """Compute on tokens alone."""
        self.model.packs = True


def _number(cut: str) -> int:
    return int(cut.removeprefix("block"))
