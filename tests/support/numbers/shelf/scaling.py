"""The Scaling of lists of numbers: mean and deviation of all values of train."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pipeline.numbers.shelf.params import NumberScalingParams

from pipeline.modality.types.protocols import StoredRows, Weights


@dataclass(frozen=True)
class NumberNormalization:
    """`(x - mean) / std`."""

    mean: float
    std: float
    mode: str = "dataset"

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return asdict(self)


class NumberScaling:
    """Lists of numbers behind the protocol `Scaling`."""

    params = NumberScalingParams

    def fit(
        self,
        store: StoredRows,
        params: NumberScalingParams,
        *,
        weights: Weights,
        plots: Path | None,
    ) -> dict[str, Any]:
        """Fit on train; draw nothing."""
        del params, weights, plots
        values = store.read(store.rows("train"))
        return NumberNormalization(float(values.mean()), float(values.std())).to_dict()


SCALING = NumberScaling()
