"""`clean`: what is good enough of lists of numbers."""

from pydantic import Field

from pipeline.modality.types.params import CleanParams


class NumberCleanParams(CleanParams):
    """`clean`."""

    min_length: int = Field(ge=1)
    """Shorter lists are quarantined."""
