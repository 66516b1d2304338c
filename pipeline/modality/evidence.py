"""Why a model answers as it does: what a modality may offer."""

from typing import Any, Protocol

from pipeline.store.shards import Array


class Explain(Protocol):
    """Why a model answers as it does."""

    def one(self, predictor: Any, row: Array) -> dict[str, Any]:
        """Predict an item by its row, and say why, in plain values."""
