"""`split`: where items go."""

from typing import Literal, Self

from pydantic import Field, model_validator

from pipeline.ground.params import Section


class SplitParams(Section):
    """`split`: how items are dealt out where the label file does not say."""

    seed: int = Field(ge=0, lt=2**63)
    """Another seed deals anew."""

    train: float = Field(gt=0.0, lt=1.0)
    """Expected share of the items, or of the groups."""

    val: float = Field(gt=0.0, lt=1.0)
    """Likewise."""

    test: float = Field(gt=0.0, lt=1.0)
    """Likewise."""

    missing: Literal["carve", "error"]
    """Where the user gave two splits or train alone: make the others out of train, or stop."""

    small_classes: Literal["train", "drop", "refuse"]
    """Of a class with no item in train: put one there, leave the class out, or stop."""

    @model_validator(mode="after")
    def _sum_to_one(self) -> Self:
        total = self.train + self.val + self.test
        if abs(total - 1.0) > 1e-9:
            raise ValueError(f"train + val + test must be 1, got {total:.6g}")
        return self
