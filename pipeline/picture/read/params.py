"""`clean`, for pictures."""

from typing import Literal

from pydantic import Field

from pipeline.modality.types.params import CleanParams
from pipeline.picture.read.limits import MAX_PIXELS


class PictureCleanParams(CleanParams):
    """`clean`: what is good enough to learn from, and which pictures are."""

    min_side_px: int = Field(ge=1)
    """Smallest side of a picture, pixels."""

    max_pixels: int = Field(ge=1, le=MAX_PIXELS)
    """Largest picture, pixels; larger ones are not decoded."""

    max_aspect: float = Field(ge=1.0)
    """Largest ratio of the longer to the shorter side."""

    animated: Literal["first", "reject"]
    """Of several frames or pages: take the first and note it, or quarantine."""

    near_correlation: float = Field(ge=0.9, lt=1.0)
    """Smallest correlation of two thumbnails that count as nearly the same."""

    near_turns: bool
    """Also compare flipped, transposed and turned; about eight times the work."""
