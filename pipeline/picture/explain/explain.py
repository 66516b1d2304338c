"""What explains the answers of models of pictures."""

from typing import Any

from pipeline.model.bundle import Predictor
from pipeline.picture.explain.gradcam import explain_pixels
from pipeline.picture.read.spec import Pixels


class PictureExplain:
    """Pictures behind the protocol `Explain`."""

    def one(self, predictor: Predictor, row: Pixels) -> dict[str, Any]:
        """Predict one picture, and show where the model looked."""
        return explain_pixels(predictor, row)


EXPLAIN = PictureExplain()
