"""Stage `weights`: pretrained weights from anywhere, as a versioned artifact. May use the network.

Reads   --local     the folder of local weight files
Writes  --backbone  the backbone's tensors under timm's names, without a classifier
        --record    architecture, source, SHA-256, license; the size, mean and deviation it expects
"""

from pathlib import Path

from pipeline.ground.stage import run_stage
from pipeline.version.download import download_model_file
from pipeline.weights.params import WeightsParams
from pipeline.weights.weights import fetch_weights, save_backbone


def main(weights: WeightsParams, *, local: Path, backbone: Path, record: Path) -> None:
    """Write the backbone and its record."""
    state, facts = fetch_weights(weights, local, resolve_model=download_model_file)
    save_backbone(backbone, record, state=state, facts=facts)


if __name__ == "__main__":
    raise SystemExit(run_stage(main))
