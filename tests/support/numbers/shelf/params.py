"""`transform` and `normalize`: lists of numbers as rows."""

from dataclasses import asdict, dataclass
from typing import Any

from pydantic import Field

from pipeline.modality.types.params import NormalizeSection, ShelfParams


@dataclass(frozen=True)
class NumberSpec:
    """How a list becomes a row: cut off, or filled with zeros."""

    length: int

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return asdict(self)

    def told(self) -> str:
        """Return in a few words what a list becomes."""
        return f"{self.length} numbers"


class NumberShelfParams(ShelfParams):
    """`transform`."""

    length: int = Field(ge=1)
    """Of a row."""

    def spec(self) -> NumberSpec:
        """Return the part that prediction needs too."""
        return NumberSpec(self.length)


class NumberScalingParams(NormalizeSection):
    """`normalize`."""

    drift_warn: float = Field(ge=0.0)
    """Read by nobody."""
