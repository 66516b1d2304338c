"""`augment`: random changes of training pictures."""

from typing import ClassVar

from pydantic import Field

from pipeline.modality.types.params import AugmentSection


class AugmentParams(AugmentSection):
    """`augment`: how pictures of the train split vary, for `train.strategy: full`."""

    has_area: ClassVar[bool] = True

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

    def views(self) -> tuple[int, ...]:
        """Return the codes for `augment.orient` of all orientations that are possible."""
        bits = ((1, self.hflip), (2, self.vflip), (4, self.transpose))
        refused = sum(bit for bit, chance in bits if chance == 0)
        return tuple(code for code in range(8) if not code & refused)
