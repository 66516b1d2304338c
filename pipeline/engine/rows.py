"""Decoded pictures to rows: what a registered model answers, whoever runs it.

A row has `label`, `confidence` and one `p_<class>` for each class, or `value` for a regression; and
`error`, which is null. Of a picture that could not be decoded, `error` says why and everything else
is null. Where the engine answers, `notes` lists what else there is to know of the picture, each as
`<code>: <meaning>`: that it is the first of several pages, for one.
"""

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from pipeline.model.bundle import Predictor
from pipeline.picture.read.spec import Pixels

Row: TypeAlias = dict[str, Any]


def predict_table(
    predictor: Predictor, decoded: Sequence[Pixels | str], *, pad: bool = True
) -> pd.DataFrame:
    """Predict pictures, a row for each in their order.

    Args:
        predictor: The model.
        decoded: Of each picture, uint8 [3, size, size], or its error.
        pad: As in `Predictor.outputs_images`.
    """
    good = [number for number, each in enumerate(decoded) if not isinstance(each, str)]
    errors = [each if isinstance(each, str) else None for each in decoded]
    size = predictor.bundle.decode.size_px
    images = np.empty((len(good), 3, size, size), dtype=np.uint8)
    for place, number in enumerate(good):
        images[place] = decoded[number]
    table = predictor.table(predictor.predict(images, pad=pad))
    if len(good) < len(decoded):
        # objects, for None: NaN is no JSON, and MLflow's server would send it
        table = table.astype(object).set_axis(good, axis=0).reindex(range(len(decoded)))
        table = table.where(table.notna(), None)
    return table.assign(error=pd.Series(errors, index=table.index, dtype="object"))


def to_rows(table: pd.DataFrame) -> list[Row]:
    """Return a table's rows as mappings with plain values."""
    return [{str(name): value for name, value in row.items()} for row in table.to_dict("records")]
