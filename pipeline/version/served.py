"""The registered model as MLflow runs it: items in, labels and probabilities out.

MLflow executes this file when it loads the model; `pipeline` is then the copy that was logged with
it. The input has one column, which its modality names: a cell is an item, as bytes or as text,
which is what JSON and csv hold. The output has a row for each item: `label`, `confidence` and one
`p_<class>` for each class, or `value` for a regression; and `error`, which is null. An item that
cannot be read costs its own row only: its `error` says why, and everything else in the row is null.
"""

import ast
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel, PythonModelContext

from pipeline.engine.engine import choose_device
from pipeline.engine.rows import predict_table
from pipeline.modality.shown.inputs import item_input
from pipeline.modality.types.items import Input, ItemTextError, from_cell
from pipeline.model.bundle import Bundle, Predictor
from pipeline.store.shards import Array

_HOLDER = re.compile(r"\{'b64': '[^']*'\}")
"""TensorFlow's `{"b64": ...}`, as MLflow's server hands it on: as Python shows it."""


class ServedModel(PythonModel):
    """A bundle behind MLflow's interface."""

    def load_context(self, context: PythonModelContext) -> None:
        """Load the weights and the bundle."""
        model, bundle = (Path(context.artifacts[name]) for name in ("model", "bundle"))
        trained_on = str(Bundle.load(bundle).fingerprint.get("device"))
        self._predictor = Predictor.load(model, bundle, device=choose_device(trained_on))

    def predict(
        self, context: PythonModelContext, model_input: pd.DataFrame, params: Any = None
    ) -> pd.DataFrame:
        """Return a row for each item, in their order."""
        del context, params
        column = item_input(self._predictor.bundle.modality).column
        return predict_rows(self._predictor, list(model_input[column]))

    def fingerprint(self) -> dict[str, str | int]:
        """Name what decides the bits of the predictions in this process."""
        return self._predictor.runtime.fingerprint()


def predict_rows(predictor: Predictor, cells: Sequence[Any]) -> pd.DataFrame:
    """Predict items; rows of those that cannot be read are null but for `error`."""
    item, spec = item_input(predictor.bundle.modality), predictor.bundle.decode
    return predict_table(predictor, [_encode(item, spec, cell) for cell in cells])


def _encode(item: Input, spec: Any, cell: Any) -> Array | str:
    if isinstance(cell, float) and math.isnan(cell):  # as pandas reads null
        cell = None
    if isinstance(cell, str) and not item.is_text and _HOLDER.fullmatch(cell):
        cell = ast.literal_eval(cell)["b64"]
    try:
        found = item.encode(from_cell(item, cell), spec, most=item.most)
    except ItemTextError as error:
        return str(error)
    return found if isinstance(found, str) else found.row


set_model(ServedModel())
