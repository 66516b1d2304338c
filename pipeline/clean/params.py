"""`clean`: what is judged, and how strictly."""

from typing import Literal

from pydantic import Field, field_validator

from pipeline.clean.labels import MissingLabel
from pipeline.clean.near import NearPolicy, NearRule
from pipeline.ground.params import Section, Task
from pipeline.picture.read.decode import MAX_PIXELS
from pipeline.picture.read.probe import Limits


class CleanParams(Section):
    """`clean`: what is good enough to learn from."""

    missing_label: MissingLabel
    """What happens to items without a label; mean and median are for regression."""

    max_bad_frac: float = Field(ge=0.0, le=1.0)
    """Largest share of quarantined items among all; above it the stage stops."""

    min_side_px: int = Field(ge=1)
    """Smallest side of a picture, pixels."""

    max_pixels: int = Field(ge=1, le=MAX_PIXELS)
    """Largest picture, pixels; larger ones are not decoded."""

    max_aspect: float = Field(ge=1.0)
    """Largest ratio of the longer to the shorter side."""

    animated: Literal["first", "reject"]
    """Of several frames or pages: take the first and note it, or quarantine."""

    near_duplicates: NearPolicy
    """Of nearly equal pictures across splits: drop all but those of the most protected split."""

    near_correlation: float = Field(ge=0.9, lt=1.0)
    """Smallest correlation of two thumbnails that count as nearly the same."""

    near_turns: bool
    """Also compare flipped, transposed and turned; about eight times the work."""

    max_near_frac: float = Field(ge=0.0, le=1.0)
    """Largest share of a split or class that near-duplicates may take; above it the stage stops."""

    leaks: Literal["refuse", "drop"]
    """Of equal or nearly equal pictures across given splits: stop, or mend as above."""

    ignore: list[str]
    """Patterns of files and folders that are left out: a name, or a path from the raw folder."""

    @field_validator("ignore")
    @classmethod
    def _name_something(cls, value: list[str]) -> list[str]:
        for glob in value:
            if not glob.strip("/ ") or ".." in glob.split("/"):
                raise ValueError(f"must be names or paths inside the raw folder, got {glob!r}")
        return value

    def limits(self) -> Limits:
        """Return what decides whether a file is decoded."""
        return Limits(self.max_pixels, self.animated)

    def near_rule(self, task: Task) -> NearRule:
        """Return what decides which pictures are nearly the same."""
        return NearRule(self.near_duplicates, self.near_correlation, self.near_turns, task)
