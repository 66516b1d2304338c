"""`registry`: the registered model, and what makes a version the champion."""

from typing import Literal

from pydantic import Field, field_validator

from pipeline.ground.params import Section
from pipeline.judge.metrics import METRICS


class GateParams(Section):
    """What `registry` says of becoming champion."""

    metric: str
    """Of metrics.json; the candidate must be better on it than the champion."""

    promote: Literal["auto", "manual"]
    """`publish` holds the contest, or only `rootstock promote` does."""

    min_items: int = Field(ge=1)
    """Test items that neither saw in training; with fewer there is no contest."""

    confidence: float = Field(gt=0.0, lt=1.0)
    """Of the interval of the difference."""

    bootstrap: int = Field(ge=100, le=100_000)
    """Resamples behind the interval."""

    seed: int = Field(ge=0, lt=2**63)
    """Of the resamples."""

    min_gain: float
    """The low end of the interval of the gain must lie above it."""

    max_class_drop: float | None = Field(ge=0.0, le=1.0)
    """Largest fall of the recall of any class."""

    min_class_recall: float | None = Field(ge=0.0, le=1.0)
    """Smallest recall of any class."""

    max_ece: float | None = Field(ge=0.0, le=1.0)
    """Largest calibration error."""

    max_ece_rise: float | None = Field(ge=0.0, le=1.0)
    """Largest rise of the calibration error."""

    max_bytes: int | None = Field(ge=1)
    """Largest size of model.safetensors, bytes."""

    max_latency_ms: float | None = Field(gt=0.0)
    """Longest median time for one item alone, milliseconds."""

    @field_validator("metric")
    @classmethod
    def _check_metric(cls, value: str) -> str:
        choices = [name for name, each in METRICS.items() if each.of]  # of what is served
        if value not in choices:
            raise ValueError(f"must be one of {', '.join(choices)}, got {value!r}")
        return value


class RegistryParams(GateParams):
    """`registry`: the registered model, and what makes a version the champion."""

    name: str = Field(min_length=1, max_length=200, pattern=r"^[^/:\"'`%]+$")
    """Of the registered model; without / : % and quotes."""

    from_experiments: bool
    """Register models that `dvc exp run` made, too."""

    verify_items: int = Field(ge=1)
    """Test items that are predicted anew, from raw files in a fresh process, at registration."""

    max_items: int = Field(ge=1)
    """Of the test items in common, the most that candidate and champion are both judged on."""
