"""The registered model as MLflow runs it: encoded pictures in, labels and probabilities out.

MLflow executes this file when it loads the model; `pipeline` is then the copy that was logged with
it. The input has one column, `image`: a cell is an encoded picture, as bytes or as text (base64, or
a `data:` URL), which is what JSON and csv hold. The output has a row for each picture: `label`,
`confidence` and one `p_<class>` for each class, or `value` for a regression; and `error`, which is
null. A picture that cannot be decoded costs its own row only: its `error` says why, and everything
else in the row is null.
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
from pipeline.model.bundle import Bundle, Predictor
from pipeline.picture.read.decoders import try_decode
from pipeline.picture.read.spec import DecodeSpec, Pixels
from pipeline.picture.read.text_form import PictureTextError, from_cell

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
        """Return a row for each picture, in their order."""
        del context, params
        return predict_rows(self._predictor, list(model_input["image"]))

    def fingerprint(self) -> dict[str, str | int]:
        """Name what decides the bits of the predictions in this process."""
        return self._predictor.runtime.fingerprint()


def predict_rows(predictor: Predictor, cells: Sequence[Any]) -> pd.DataFrame:
    """Predict encoded pictures; rows of those that cannot be decoded are null but for `error`."""
    return predict_table(predictor, [_decode(predictor.bundle.decode, cell) for cell in cells])


def _decode(spec: DecodeSpec, cell: Any) -> Pixels | str:
    if isinstance(cell, float) and math.isnan(cell):  # as pandas reads null
        cell = None
    if isinstance(cell, str) and _HOLDER.fullmatch(cell):
        cell = ast.literal_eval(cell)["b64"]
    try:
        return try_decode(spec, from_cell(cell))
    except PictureTextError as error:
        return str(error)


set_model(ServedModel())
