"""Stage `features`: the outputs of the frozen backbone for every picture, computed once.

Reads   --store          the tensor store
        --normalization  how bytes become numbers
        --backbone       the backbone's tensors
        --record         the backbone's record
Writes  --out            pooled features, one row for each of the store; empty if not asked for
"""

from pathlib import Path

from pipeline.data.normalization import Normalization
from pipeline.data.store import Store
from pipeline.device import RuntimeParams, open_runtime
from pipeline.model.features import FeaturesParams, extract, warn_about_size, write_empty
from pipeline.model.network import Trunk
from pipeline.model.weights import load_backbone
from pipeline.parallel import MachineParams
from pipeline.stage import run_stage


def main(
    features: FeaturesParams,
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
    if not features.pooled:
        write_empty(features, out=out)
        return
    pictures = Store.open(store)
    pictures.verify()
    built, facts = load_backbone(backbone, record)
    warn_about_size(pictures.size_px, facts)
    trunk = Trunk(built, normalization=Normalization.load(normalization), pooling=features.pooling)
    extract(pictures, trunk, features, runtime=open_runtime(runtime), machine=machine, out=out)


if __name__ == "__main__":
    raise SystemExit(run_stage(main))
