"""Rows of the store to rows of answers: what a registered model answers, whoever runs it.

A row has `label`, `confidence` and one `p_<class>` for each class, or `value` for a regression; and
`error`, which is null. Of an item that could not be read, `error` says why and everything else
is null. Where the engine answers, `notes` lists what else there is to know of the item, each as
`<code>: <meaning>`: that it is the first of several pages, for one.
"""

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from pipeline.modality.shelving import shelf
from pipeline.model.bundle import Predictor
from pipeline.store.shards import Array

Row: TypeAlias = dict[str, Any]


def predict_table(
    predictor: Predictor, encoded: Sequence[Array | str], *, pad: bool = True
) -> pd.DataFrame:
    """Predict items, a row for each in their order.

    Args:
        predictor: The model.
        encoded: Of each item, its row of the store, or its error.
        pad: As in `Predictor.outputs_images`.
    """
    good = [number for number, each in enumerate(encoded) if not isinstance(each, str)]
    errors = [each if isinstance(each, str) else None for each in encoded]
    shape, dtype = shelf(predictor.bundle.modality).row(predictor.bundle.decode)
    rows = np.empty((len(good), *shape), dtype=dtype)
    for place, number in enumerate(good):
        rows[place] = encoded[number]
    table = predictor.table(predictor.predict(rows, pad=pad))
    if len(good) < len(encoded):
        # objects, for None: NaN is no JSON, and MLflow's server would send it
        table = table.astype(object).set_axis(good, axis=0).reindex(range(len(encoded)))
        table = table.where(table.notna(), None)
    return table.assign(error=pd.Series(errors, index=table.index, dtype="object"))


def to_rows(table: pd.DataFrame) -> list[Row]:
    """Return a table's rows as mappings with plain values."""
    return [{str(name): value for name, value in row.items()} for row in table.to_dict("records")]
