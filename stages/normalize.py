"""Stage `normalize`: fit the scaling of pixel values on train, measure it on every split.

Reads   --store          the tensor store
        --record         the backbone's record: the mean and deviation that its weights expect
Writes  --normalization  mode, scale, mean and std by channel; every split before and after
        --plots          the distribution of pixel values before and after, as pictures
"""

from pathlib import Path

from pipeline.ground.files import replacing_folder, write_json
from pipeline.ground.plots import channel_histograms
from pipeline.ground.stage import run_stage
from pipeline.picture.shelf.histograms import count_values
from pipeline.picture.shelf.normalization import fit, load_pretrained, measure, normalized_levels
from pipeline.picture.shelf.params import NormalizeParams
from pipeline.store.store import Store


def main(
    normalize: NormalizeParams, *, store: Path, record: Path, normalization: Path, plots: Path
) -> None:
    """Write the normalization and what was measured of it."""
    counts = count_values(Store.open(store))
    pretrained = load_pretrained(record)
    fitted = fit(normalize.mode, counts["train"], pretrained=pretrained, where=store)
    splits = measure(counts, fitted, normalize.drift_warn)
    with replacing_folder(plots) as folder:
        channel_histograms(folder / "before.png", counts, "Pixel values before normalization")
        channel_histograms(
            folder / "after.png",
            counts,
            "Pixel values after normalization",
            values=normalized_levels(fitted),
            xlabel="normalized value",
        )
    write_json(normalization, {**fitted.to_dict(), "splits": splits})


if __name__ == "__main__":
    raise SystemExit(run_stage(main))
