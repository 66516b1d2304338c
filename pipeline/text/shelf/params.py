"""`transform` and `normalize`: texts as rows of the store."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

from pydantic import Field

from pipeline.modality.types.params import NormalizeSection, ShelfParams

BYTES_PER_TOKEN = 8
"""Of a row. Tokens of most languages have 2 to 5 bytes, with the blank before them."""


@dataclass(frozen=True)
class TextSpec:
    """How a text becomes a row.

    Attributes:
        max_tokens: The most tokens of a text that a network reads, its marks of begin and end too.
    """

    max_tokens: int

    @property
    def row_bytes(self) -> int:
        """The length of a row."""
        return BYTES_PER_TOKEN * self.max_tokens

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return asdict(self)

    def told(self) -> str:
        """Return in a few words what a text becomes."""
        return f"the first {self.max_tokens} tokens, marks of begin and end too"


class TextTransformParams(ShelfParams):
    """`transform`: how raw texts become rows."""

    max_tokens: int = Field(ge=8, le=8192)
    """The most tokens that a network reads; what a text has beyond is cut off, counted and told."""

    def spec(self) -> TextSpec:
        """Return the part that prediction needs too."""
        return TextSpec(self.max_tokens)


class TextNormalizeParams(NormalizeSection):
    """`normalize`: how much each token counts in the mean of a text."""

    mode: Literal["none", "sif"]
    """`none`: all the same; `sif`: frequent ones less (word vectors only)."""

    drift_warn: float = Field(ge=0.0, le=100.0)
    """Warn where a split's mean length lies further from train's, in train's deviations."""
