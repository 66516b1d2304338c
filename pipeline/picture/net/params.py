"""`augment`: random changes of training pictures."""

from typing import Literal

from pydantic import Field

from pipeline.ground.params import Section

Pooling = Literal["mean", "max", "mean+max"]


class AugmentParams(Section):
    """`augment`: how pictures of the train split vary, for `train.strategy: full`."""

    hflip: float = Field(ge=0.0, le=1.0)
    """Probability of a mirror image, left for right."""

    vflip: float = Field(ge=0.0, le=1.0)
    """Probability of a mirror image, top for bottom."""

    transpose: float = Field(ge=0.0, le=1.0)
    """Probability of rows and columns being swapped; with both flips, all eight orientations."""

    crop_min_frac: float = Field(gt=0.0, le=1.0)
    """Smallest side of a random square crop over the whole side, resized back; 1: no crops."""

    brightness: float = Field(ge=0.0, le=1.0)
    """Largest relative change of all values."""

    contrast: float = Field(ge=0.0, le=1.0)
    """Largest relative change of the distance to the picture's own mean."""
