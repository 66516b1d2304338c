"""The registered model as MLflow runs it: encoded pictures in, labels and probabilities out.

MLflow executes this file when it loads the model; `pipeline` is then the copy that was logged with
it. The input has one column, `image`, of encoded bytes (base64 in JSON, which MLflow decodes). The
output has a row for each picture: `label`, `confidence` and one `p_<class>` for each class, or
`value` for a regression; and `error`, which is null. A picture that cannot be decoded costs its own
row only: its `error` says why, and everything else in the row is null.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel, PythonModelContext

from pipeline.data.decode import decode
from pipeline.data.picture import DecodeSpec, Pixels, UndecodableImage
from pipeline.model.bundle import Bundle, Predictor


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
        """Give a row for each picture, in their order."""
        del context, params
        return predict_rows(self._predictor, list(model_input["image"]))

    def fingerprint(self) -> dict[str, str | int]:
        """Name what decides the bits of the predictions in this process."""
        return self._predictor.runtime.fingerprint()


def choose_device(trained_on: str) -> str:
    """Give the kind of device that a model was trained on, where this machine has one; else cpu.

    Args:
        trained_on: As in the fingerprint: `cpu`, `mps`, or the name of a GPU.
    """
    if trained_on == "mps" and torch.backends.mps.is_available():
        return "mps"
    return "cuda" if trained_on not in ("cpu", "mps") and torch.cuda.is_available() else "cpu"


def predict_rows(predictor: Predictor, files: list[bytes]) -> pd.DataFrame:
    """Predict encoded pictures; rows of those that cannot be decoded are null but for `error`."""
    pictures: list[Pixels] = []
    errors: list[str | None] = []
    for raw in files:
        picture, error = _decode(raw, predictor.bundle.decode)
        errors.append(error)
        if picture is not None:
            pictures.append(picture)
    good = [row for row, error in enumerate(errors) if error is None]
    size = predictor.bundle.decode.size_px
    images = np.stack(pictures) if pictures else np.empty((0, 3, size, size), dtype=np.uint8)
    table = predictor.table(predictor.predict_images(images))
    if len(good) < len(files):
        # objects, for None: NaN is no JSON, and MLflow's server would send it
        table = table.astype(object).set_axis(good, axis=0).reindex(range(len(files)))
        table = table.where(table.notna(), None)
    return table.assign(error=pd.Series(errors, index=table.index, dtype="object"))


def _decode(raw: Any, spec: DecodeSpec) -> tuple[Pixels | None, str | None]:
    if not isinstance(raw, bytes):
        return None, f"not_bytes: the cell holds {type(raw).__name__}"
    try:
        return decode(raw, spec), None
    except UndecodableImage as error:
        return None, f"{error.reason}: {error.detail}"


set_model(ServedModel())
