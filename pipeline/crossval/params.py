"""`crossval`: how many folds, and how they are trained."""

from typing import ClassVar, Literal

from pydantic import Field

from pipeline.ground.params import Section


class CrossvalParams(Section):
    """`crossval`: how items are dealt out to folds."""

    section: ClassVar[str] = "crossval"
    """Whose `folds` errors name."""

    folds: int = Field(ge=2, le=1000)
    """Each item is held out by one of them."""

    repeats: int = Field(ge=1, le=1000)
    """Times that the items are dealt out anew."""

    items: Literal["trainval", "all"]
    """`trainval` leaves the test split alone; `all` is for comparison with published figures."""

    val_frac: float = Field(gt=0.0, le=0.5)
    """Share of a fold's training part that chooses the epoch and fits the temperature."""

    seed: int = Field(ge=0, lt=2**63)
    """Another seed deals anew."""
