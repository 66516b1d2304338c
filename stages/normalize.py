"""Stage `normalize`: fit the normalization of values on train, measure it on every split.

Reads   --store          the store
        --backbone --record  the weights, and their record: what values they expect
Writes  --normalization  what is applied to values; every split before and after
        --plots          the distribution of values before and after, as pictures
"""

from pathlib import Path

from pipeline.ground.files import replacing_folder, write_json
from pipeline.ground.params import Unchecked
from pipeline.ground.stage import run_stage
from pipeline.modality.scaling import scaling
from pipeline.modality.table import write_modality
from pipeline.modality.types.protocols import Weights
from pipeline.store.store import Store


def main(
    normalize: Unchecked,
    *,
    store: Path,
    backbone: Path,
    record: Path,
    normalization: Path,
    plots: Path,
) -> None:
    """Write the normalization and what was measured of it."""
    rows = Store.open(store)
    part = scaling(rows.modality)
    params = normalize.check(part.params)
    with replacing_folder(plots) as folder:
        found = part.fit(rows, params, weights=Weights(backbone, record), plots=folder)
    write_json(normalization, {**write_modality(rows.modality), **found})


if __name__ == "__main__":
    raise SystemExit(run_stage(main))
