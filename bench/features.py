"""Feature extraction: the network as the stages run it, against plain forward passes.

Conditions: EfficientNet-Lite0, 224 px, batches of 32 gray noise pictures, 2 threads, each variant
in turn, the best of five rounds. `stages` is what `features`, `evaluate` and the registered model
run: bytes in, pooled features out, batch normalization folded. `eager` is timm in channels-last
order on ready float tensors, without normalization and pooling.

    python bench/features.py
"""

import time
from collections.abc import Callable

import timm
import torch

from pipeline.data.normalization import Normalization
from pipeline.device import RuntimeParams, open_runtime
from pipeline.model.backbones import build_backbone
from pipeline.model.network import Trunk

ARCHITECTURE = "tf_efficientnet_lite0"
BATCH, SIZE_PX, ROUNDS = 32, 224, 5


def variants() -> dict[str, Callable[[], object]]:
    """Give what is timed, by name."""
    generator = torch.Generator().manual_seed(1)
    shape = (BATCH, 3, SIZE_PX, SIZE_PX)
    images = torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)
    floats = images.float().div(255).contiguous(memory_format=torch.channels_last)
    eager = timm.create_model(ARCHITECTURE, num_classes=0).eval()
    eager = eager.to(memory_format=torch.channels_last)
    half = (0.5, 0.5, 0.5)
    normalization = Normalization("pretrained", 1 / 255, half, half)
    trunk = Trunk(build_backbone(ARCHITECTURE), normalization=normalization, pooling="mean+max")
    trunk.fold()
    found: dict[str, Callable[[], object]] = {}
    for precision in ("fp32", "bf16"):
        params = RuntimeParams(seed=1, threads=2, device="cpu", precision=precision, compile=False)
        runtime = open_runtime(params)

        def run(call: Callable[[], object], runtime: object = runtime) -> object:
            with torch.inference_mode(), runtime.autocast():  # type: ignore[attr-defined]
                return call()

        found[f"eager {precision}"] = lambda run=run: run(lambda: eager(floats))
        found[f"stages {precision}"] = lambda run=run: run(lambda: trunk.pooled(images))
    return found


def main() -> None:
    """Print pictures a second of each variant."""
    best: dict[str, float] = {}
    calls = variants()
    for number in range(ROUNDS + 1):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            if number:
                rate = BATCH / (time.perf_counter() - start)
                best[name] = max(best.get(name, 0.0), rate)
    print(f"{ARCHITECTURE}, {SIZE_PX} px, batch {BATCH}, best of {ROUNDS}")
    for name, rate in best.items():
        reference = best[f"eager {name.split()[1]}"]
        print(f"{name:12} {rate:7.1f} pictures/s   {rate / reference:.2f} of eager")


if __name__ == "__main__":
    main()
