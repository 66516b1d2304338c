"""Stage `features`: the outputs of the frozen backbone for every picture, computed once.

Reads   --store          the tensor store
        --normalization  how bytes become numbers
        --backbone       the backbone's tensors
        --record         the backbone's record
Writes  --out            pooled features and activations at a cut; empty if not asked for
"""

from pathlib import Path

from pipeline.data.augment import AugmentParams
from pipeline.data.normalization import Normalization
from pipeline.data.store import Store
from pipeline.device import RuntimeParams, open_runtime
from pipeline.model.features import (
    Extraction,
    FeaturesParams,
    extract,
    warn_about_size,
    write_empty,
)
from pipeline.model.network import Trunk
from pipeline.model.weights import load_backbone
from pipeline.parallel import MachineParams
from pipeline.stage import run_stage


def main(
    features: FeaturesParams,
    augment: AugmentParams,
    runtime: RuntimeParams,
    machine: MachineParams,
    *,
    store: Path,
    normalization: Path,
    backbone: Path,
    record: Path,
    out: Path,
) -> None:
    """Write the features."""
    if features.is_empty:
        write_empty(features, out=out)
        return
    pictures = Store.open(store)
    pictures.verify()
    built, facts = load_backbone(backbone, record)
    warn_about_size(pictures.size_px, facts)
    trunk = Trunk(built, normalization=Normalization.load(normalization), pooling=features.pooling)
    work = Extraction(pictures, trunk, features, augment, open_runtime(runtime))
    extract(work, machine=machine, out=out)


if __name__ == "__main__":
    raise SystemExit(run_stage(main))
