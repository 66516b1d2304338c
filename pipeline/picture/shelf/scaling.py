"""The Scaling of pictures: the normalization of pixel values, and what it did to each split."""

from pathlib import Path
from typing import Any

from pipeline.modality.types.protocols import StoredRows, Weights
from pipeline.picture.shelf.histograms import count_values
from pipeline.picture.shelf.normalization import fit, load_pretrained, measure, normalized_levels
from pipeline.picture.shelf.params import NormalizeParams
from pipeline.picture.shelf.plots import channel_histograms


class PictureScaling:
    """Mean and deviation of each color channel."""

    params = NormalizeParams

    def fit(
        self, store: StoredRows, params: NormalizeParams, *, weights: Weights, plots: Path | None
    ) -> dict[str, Any]:
        """Fit the normalization on train, and measure and draw every split before and after it."""
        counts = count_values(store)
        pretrained = load_pretrained(weights.record)
        fitted = fit(params.mode, counts["train"], pretrained=pretrained, where=store.folder)
        splits = measure(counts, fitted, params.drift_warn)
        if plots is not None:
            channel_histograms(plots / "before.png", counts, "Pixel values before normalization")
            channel_histograms(
                plots / "after.png",
                counts,
                "Pixel values after normalization",
                values=normalized_levels(fitted),
                xlabel="normalized value",
            )
        return {**fitted.to_dict(), "splits": splits}


SCALING = PictureScaling()
