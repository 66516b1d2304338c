"""`evaluate`: how the test split is scored."""

from pydantic import Field

from pipeline.ground.limits import SHEET_LIMIT
from pipeline.ground.params import Section


class EvaluateParams(Section):
    """`evaluate`: how the test split is judged."""

    bootstrap: int = Field(ge=0, le=100_000)
    """Resamples behind each 95 % interval; 0: no intervals."""

    ece_bins: int = Field(ge=2, le=1000)
    """Bins of equal width behind the calibration error."""

    worst: int = Field(ge=0, le=SHEET_LIMIT)
    """Mistakes on the sheet of the worst."""

    seed: int = Field(ge=0, lt=2**63)
    """Of the resamples."""
