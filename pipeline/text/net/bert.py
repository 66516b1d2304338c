"""The encoder of BERT, with the names of its published tensors.

Source: Devlin et al. (2018); the transformer of Vaswani et al. (2017). Layer norm comes after each
residual sum, GELU is exact, positions are learned.

Axes: B = texts, T = tokens, D = width, H = heads, V = words known, P = positions, N = windows.
"""

import re
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.text.net.base import token_mask
from pipeline.text.shelf.tokens import PAD

_NAME = re.compile(r"bert_l(\d+)_h(\d+)_a(\d+)(?:_v(\d+))?(?:_p(\d+))?")
_WORDS, _POSITIONS = 30522, 512
_EPSILON = 1e-12
_NEVER = -1e30
"""Added to a score: its share is 0 beside any other; alone with its like, all are equal."""

_WIDER = 4
"""Of the hidden layer of a block, over its width."""


@dataclass(frozen=True)
class BertShape:
    """What a name says: `bert_l<layers>_h<width>_a<heads>[_v<words>][_p<positions>]`.

    Attributes:
        layers: Blocks.
        width: D.
        heads: H; it divides D.
        words: V.
        positions: The most tokens.
    """

    layers: int
    width: int
    heads: int
    words: int = _WORDS
    positions: int = _POSITIONS

    @property
    def name(self) -> str:
        """Return the name, without what is usual."""
        name = f"bert_l{self.layers}_h{self.width}_a{self.heads}"
        name += f"_v{self.words}" if self.words != _WORDS else ""
        return name + (f"_p{self.positions}" if self.positions != _POSITIONS else "")

    @classmethod
    def parse(cls, architecture: str) -> "BertShape | None":
        """Read a name; None where it is another one."""
        found = _NAME.fullmatch(architecture)
        if found is None:
            return None
        layers, width, heads = map(int, found.groups()[:3])
        if not (layers and heads and width % heads == 0):
            return None
        words, positions = (
            int(each) if each else usual
            for each, usual in zip(found.groups()[3:], (_WORDS, _POSITIONS), strict=True)
        )
        return cls(layers, width, heads, words, positions)


def window_of(architecture: str) -> int | None:
    """Return the most tokens that an encoder reads at once; None where there is no bound."""
    shape = BertShape.parse(architecture)
    return None if shape is None else shape.positions


class Embeddings(nn.Module):
    """Numbers of tokens to vectors."""

    def __init__(self, shape: BertShape) -> None:
        super().__init__()
        self.word_embeddings = nn.Embedding(shape.words, shape.width)
        self.position_embeddings = nn.Embedding(shape.positions, shape.width)
        self.token_type_embeddings = nn.Embedding(2, shape.width)
        self.LayerNorm = nn.LayerNorm(shape.width, eps=_EPSILON)

    def forward(self, tokens_BT: Tensor) -> Tensor:
        """Return [B, T, D]; all tokens are of the first sentence."""
        positions_TD = self.position_embeddings.weight[: tokens_BT.shape[1]]
        total = (
            self.word_embeddings(tokens_BT) + positions_TD + self.token_type_embeddings.weight[0]
        )
        normed: Tensor = self.LayerNorm(total)
        return normed


class _Projected(nn.Module):
    """A linear layer, the residual sum, and layer norm."""

    def __init__(self, wide: int, width: int) -> None:
        super().__init__()
        self.dense = nn.Linear(wide, width)
        self.LayerNorm = nn.LayerNorm(width, eps=_EPSILON)

    def forward(self, values: Tensor, below: Tensor) -> Tensor:
        normed: Tensor = self.LayerNorm(self.dense(values) + below)
        return normed


class _Queries(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)


class _Attention(nn.Module):
    def __init__(self, shape: BertShape) -> None:
        super().__init__()
        self.heads = shape.heads
        self.add_module("self", _Queries(shape.width))
        self.output = _Projected(shape.width, shape.width)

    def forward(self, values: Tensor, grid: "Grid") -> Tensor:
        queries, keys, inner = (
            grid.spread(layer(values)).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for layer in self.get_submodule("self").children()
        )
        seen = attend(queries, keys, inner, grid.mask_BT[:, None, None, :])
        found: Tensor = self.output(grid.gather(seen.transpose(1, 2).flatten(-2)), values)
        return found


class Grid:
    """Where the tokens of a batch are among the places of its longest text.

    Args:
        mask_BT: Where there are tokens.
        packs: Whether all but attention works on tokens alone, [M, D]. It is quicker where texts
            differ in length. The last bits of a text then depend on the others.
    """

    def __init__(self, mask_BT: Tensor, *, packs: bool) -> None:
        self.mask_BT = mask_BT
        self._places = mask_BT.flatten().nonzero().squeeze(1) if packs else None

    def gather(self, values_BTD: Tensor) -> Tensor:
        """Return what is computed on: the vectors of tokens, or all."""
        if self._places is None:
            return values_BTD
        return values_BTD.flatten(0, 1).index_select(0, self._places)

    def spread(self, values: Tensor) -> Tensor:
        """Return [B, T, D] of what was computed on; what was left out is zero."""
        if self._places is None:
            return values
        whole = values.new_zeros(self.mask_BT.numel(), values.shape[-1])
        return whole.index_copy(0, self._places, values).view(*self.mask_BT.shape, -1)


def attend(queries: Tensor, keys: Tensor, values: Tensor, mask_B11T: Tensor) -> Tensor:
    """Return each token's mean of values, by the softmax of how its query meets the keys.

    On a CPU torch computes it block by block, and never holds the shares of all pairs of tokens.
    Elsewhere its gradients may differ from run to run, so there it is written out.

    Args:
        queries: [B, H, T, D/H], as keys and values.
        keys: Of the tokens that are looked at.
        values: Theirs.
        mask_B11T: Where there are tokens; of a text without any, all places count alike.
    """
    added_B11T = torch.zeros_like(mask_B11T, dtype=queries.dtype).masked_fill(~mask_B11T, _NEVER)
    if queries.device.type == "cpu":
        added_B1TT = added_B11T.expand(-1, -1, queries.shape[2], -1)
        return functional.scaled_dot_product_attention(queries, keys, values, attn_mask=added_B1TT)
    scores = (queries * queries.shape[-1] ** -0.5) @ keys.transpose(-1, -2)
    shares = torch.softmax(scores.float() + added_B11T, dim=-1)
    return shares.to(values.dtype) @ values


class _Intermediate(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.dense = nn.Linear(width, _WIDER * width)


class Block(nn.Module):
    """Attention and a hidden layer, each with its residual sum."""

    def __init__(self, shape: BertShape) -> None:
        super().__init__()
        self.attention = _Attention(shape)
        self.intermediate = _Intermediate(shape.width)
        self.output = _Projected(_WIDER * shape.width, shape.width)

    def forward(self, values: Tensor, grid: Grid) -> Tensor:
        """Return vectors of the shape of those given, [B, T, D] or [M, D]: see `Grid`."""
        seen = self.attention(values, grid)
        hidden = functional.gelu(self.intermediate.dense(seen))
        found: Tensor = self.output(hidden, seen)
        return found


class _Stack(nn.Module):
    def __init__(self, shape: BertShape) -> None:
        super().__init__()
        self.layer = nn.ModuleList(Block(shape) for _ in range(shape.layers))


class Bert(nn.Module):
    """Tokens to a vector for each; no pooler.

    Attributes:
        packs: See `Grid`.
    """

    packs = False

    def __init__(self, shape: BertShape) -> None:
        super().__init__()
        self.shape = shape
        self.embeddings = Embeddings(shape)
        self.encoder = _Stack(shape)

    def lower(self, tokens_BT: Tensor, block: int) -> Tensor:
        """Return what enters a block: [B, T, D], zero where there is no token.

        What has more tokens than there are positions is in windows of so many: see `in_windows`.
        """
        windows_NP = self._apart(tokens_BT)
        values = self._through(self.embeddings(windows_NP), windows_NP != PAD, range(block))
        return self._joined(values, *tokens_BT.shape)

    def upper(self, values_BTD: Tensor, block: int) -> Tensor:
        """Return the last vectors from what enters a block."""
        windows_NPD, blocks = self._apart(values_BTD), range(block, self.shape.layers)
        values = self._through(windows_NPD, token_mask(windows_NPD), blocks)
        return self._joined(values, *values_BTD.shape[:2])

    def _apart(self, values: Tensor) -> Tensor:
        """Return windows as texts of their own: [B, T, ...] to [N, P, ...], zero at the end."""
        tokens, window = values.shape[1], self.shape.positions
        if tokens <= window:
            return values
        rest = (0, 0) * (values.ndim - 2) + (0, -tokens % window)
        apart: Tensor = functional.pad(values, rest).unflatten(1, (-1, window))
        return apart.flatten(0, 1)

    def _joined(self, values_NPD: Tensor, texts: int, tokens: int) -> Tensor:
        """Return the windows of each text one after the other: [B, T, D]."""
        if tokens <= self.shape.positions:
            return values_NPD
        return values_NPD.reshape(texts, -1, values_NPD.shape[-1])[:, :tokens]

    def _through(self, values: Tensor, mask_BT: Tensor, blocks: range) -> Tensor:
        grid = Grid(mask_BT, packs=self.packs)
        packed = grid.gather(values)
        for number in blocks:
            packed = self.encoder.layer[number](packed, grid)
        return grid.spread(packed) * mask_BT[..., None]


def random_bert(shape: BertShape) -> Bert:
    """Build one with random weights, the same each time: normal, deviation 0.02."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        model = Bert(shape)
        for module in model.modules():
            if isinstance(module, nn.Linear | nn.Embedding):
                nn.init.normal_(module.weight, std=0.02)
            if isinstance(module, nn.Linear):
                nn.init.zeros_(module.bias)
    return model.eval()
