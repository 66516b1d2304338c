"""`explain`, for pictures."""

from pydantic import Field

from pipeline.modality.types.params import ExplainParams


class PictureExplainParams(ExplainParams):
    """`explain`: which pictures are looked at closely, and how the test split is cut in parts."""

    border_frac: float = Field(gt=0.0, lt=0.5)
    """Width of the border whose heat is counted, over the side of an item."""
