"""`features`: what the frozen part of the network gives."""

from typing import Self

from pydantic import Field, model_validator

from pipeline.ground.params import Section
from pipeline.modality.types.params import Pooling


class FeaturesParams(Section):
    """`features`: what of the frozen backbone is computed once."""

    pooled: bool
    """Compute the pooled outputs; `train.strategy: head` and `train.start: probe` need them."""

    cut: str | int
    """Where the backbone is cut for cached activations, by name or number; `none`: they are not
    computed. `train.strategy: top` needs them."""

    views: int = Field(ge=1, le=64)
    """Of each item at the cut: itself, and augmented ones."""

    pooling: Pooling
    """Over the last features."""

    batch_size: int = Field(ge=1, le=4096)
    """Items of a forward pass; part of the numeric fingerprint."""

    seed: int = Field(ge=0, lt=2**63)
    """Of the views."""

    @model_validator(mode="after")
    def _views_need_a_cut(self) -> Self:
        if self.cut == "none" and self.views > 1:
            raise ValueError(
                f"views must be 1 with cut: none, got {self.views} (name a cut, or lower it)"
            )
        return self

    @property
    def is_empty(self) -> bool:
        """Whether nothing is to be computed."""
        return not self.pooled and self.cut == "none"
