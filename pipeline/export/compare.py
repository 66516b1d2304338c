"""Compare what an exported model gives with what the predictor gives for the same files.

Axes: N = items, K = classes, or 1.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pipeline.compute.device import Precision, start_runtime
from pipeline.export.items import Items
from pipeline.ground.errors import DataError, IntegrityError
from pipeline.modality.shown.inputs import item_input
from pipeline.model.bundle import Bundle, Predictor, Values, load_network
from pipeline.store.shards import Array


@dataclass(frozen=True)
class Difference:
    """Between an export and the predictor in one precision.

    Attributes:
        precision: Of the predictor.
        largest: Of a probability, or of a value in deviations of the target; NaN where a number is.
        mean: Likewise, the mean over all numbers.
        same_label: Items whose most likely class is the same; None for a regression.
    """

    precision: Precision
    largest: float
    mean: float
    same_label: int | None

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        found = {"largest": self.largest, "mean": self.mean}
        return found if self.same_label is None else {**found, "same_label": self.same_label}


def expected(model: Path, bundle: Bundle, items: Items, *, precision: Precision) -> Values:
    """Predict files with the predictor, on the CPU: float64 [N, K].

    Raises:
        DataError: A file is not a usable item; none is skipped.
    """
    runtime = start_runtime(torch.device("cpu"), precision=precision, threads=bundle.threads)
    facts = replace(bundle, precision=precision)
    predictor = Predictor(load_network(model, bundle), facts, runtime=runtime)
    return predictor.predict(rows_of(items, bundle))


def rows_of(items: Items, bundle: Bundle) -> Array:
    """Return files as the model's rows, [N, ...].

    Raises:
        DataError: A file is not a usable item; none is skipped.
    """
    item, rows = item_input(bundle.modality), []
    for path, name in zip(items.paths, items.names, strict=True):
        found = item.encode(path.read_bytes(), bundle.decode, most=item.most)
        if isinstance(found, str):
            raise DataError(name, f"must be a usable {item.one}: {found}")
        rows.append(found.row)
    return np.stack(rows)


def difference(got: Values, wanted: Values, bundle: Bundle, precision: Precision) -> Difference:
    """Measure how far an export is from the predictor.

    Args:
        got: [N, K], of the export.
        wanted: [N, K], of the predictor.
        bundle: The model's.
        precision: Of the predictor.
    """
    is_classes = bundle.task == "classification"
    apart = np.abs(got - wanted) / (1.0 if is_classes else bundle.target_std)
    same = int((got.argmax(1) == wanted.argmax(1)).sum()) if is_classes else None
    return Difference(precision, float(apart.max()), float(apart.mean()), same)


def refuse_beyond(tolerance: float, found: Sequence[Difference], file: str, items: str) -> None:
    """Check the difference from the predictor in single precision.

    Raises:
        IntegrityError: It is too large, or no number.
    """
    largest = next(each.largest for each in found if each.precision == "fp32")
    if not largest <= tolerance:
        raise IntegrityError(
            file,
            f"must predict within {tolerance:g} of the model in fp32, and differs by up to "
            f"{largest:.3g} on {items}",
            remedy="nothing was written; try another format, or a larger --tolerance",
        )
