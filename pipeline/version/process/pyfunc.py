"""A registered model of before there was an engine, behind an engine's interface.

Such a version brings no `pipeline/model/engine.py`. MLflow loads it and it predicts, all in one
process: items are read one after another, and a decoder that crashes takes the process along.
A resident loads this file by its path, so it imports nothing of `pipeline`.
"""

import json
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any


class PyfuncEngine:
    """A model folder as MLflow runs it.

    Args:
        folder: Of the model, with its `MLmodel`.
        bundle: Its bundle.json.
    """

    def __init__(self, folder: Path, bundle: Path) -> None:
        import mlflow.pyfunc

        self._bundle = json.loads(bundle.read_text(encoding="utf-8"))
        self._model = mlflow.pyfunc.load_model(str(folder))
        (self._column,) = self._model.metadata.get_input_schema().input_names()

    def stream(self, files: Iterable[bytes], *, pad: bool = True) -> Iterator[list[dict[str, Any]]]:
        """Yield rows batch by batch; it fills up each, whatever `pad` says."""
        import pandas as pd

        del pad
        files = iter(files)
        while batch := list(islice(files, self._bundle["batch_size"])):
            table = self._model.predict(pd.DataFrame({self._column: batch}))
            yield table.astype(object).where(table.notna(), None).to_dict("records")

    def describe(self) -> dict[str, Any]:
        """Return what the model answers, and what decides the bits."""
        kept = {
            name: self._bundle[name]
            for name in ("task", "classes", "target", "architecture", "batch_size")
        }
        return kept | {
            "views": self._bundle.get("views", [0]),
            "fingerprint": self._model.unwrap_python_model().fingerprint(),
            "trained_on": self._bundle["fingerprint"],
        }
