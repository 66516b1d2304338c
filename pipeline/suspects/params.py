"""The params of the side branch `suspects`."""

from pydantic import Field

from pipeline.ground.params import Section


class SuspectsParams(Section):
    """`suspects`: how items are judged, and from where on one is told."""

    folds: int = Field(ge=2, le=1000)
    """Heads that are trained; each judges the items that it did not see."""

    val_frac: float = Field(gt=0.0, le=0.5)
    """Share of a fold's training part that chooses the epoch and fits the temperature."""

    epochs: int = Field(ge=1, le=100_000)
    """Of each head."""

    lr: float = Field(gt=0.0, le=10.0)
    """Peak learning rate of each head."""

    neighbors: int = Field(ge=1, le=1000)
    """Nearest items whose mean distance says how far an item lies from all others."""

    deviation: float = Field(gt=0.0, le=100.0)
    """Robust deviations from the median beyond which an item is an outlier, a picture is blurred,
    and, for regression, a label is a suspect."""

    look_alike: float = Field(gt=0.0, le=1.0)
    """Cosine of pooled features from which two items in different splits look alike."""

    most: int = Field(ge=1, le=1_000_000)
    """Rows that are listed for each reason; the report counts all."""

    seed: int = Field(ge=0, lt=2**63)
    """Another seed deals the folds anew."""
