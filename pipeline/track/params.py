"""`tracking`: where runs are logged."""

from pydantic import Field

from pipeline.ground.params import Section


class TrackingParams(Section):
    """`tracking`: where and how runs are logged; changes no result."""

    experiment: str = Field(min_length=1, max_length=500)
    """MLflow experiment that holds the runs; made when it is not there."""

    required: bool
    """A tracking server that is away is an error (exit 6), not a warning."""

    live: bool
    """Stream epochs while training, by a process of its own."""
