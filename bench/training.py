"""A training step above a cut: as `train` runs it, beside torch as it comes.

Conditions: EfficientNet-Lite0 from `blocks.4` up, batches of 32 random activations of 224 px
pictures, AdamW, 2 threads, the median of 30 steps after 5, a process for each variant, all three
times in turn. `torch` is torch as it comes, in channels-last order; `memory` has it keep freed
memory, as `rootstock` does; `ours` computes depthwise gradients by faster kernels too.

    python -m bench.training
"""

import subprocess
import sys
import time
from statistics import median

import torch
from torch import nn

from pipeline.compute.device import start_runtime
from pipeline.model.head import Head
from pipeline.model.network import Network, Upper
from pipeline.picture.net.backbones import build_backbone
from pipeline.picture.net.cpu.depthwise import speed_up_gradients
from pipeline.picture.shelf.normalization import Normalization

ARCHITECTURE, CUT, SHAPE = "tf_efficientnet_lite0", "blocks.4", (32, 80, 14, 14)
WARM, STEPS, ROUNDS, THREADS = 5, 30, 3, 2
VARIANTS = ("torch fp32", "torch bf16", "memory fp32", "memory bf16", "ours bf16")


def measure(variant: str) -> float:
    """Return items a second."""
    name, precision = variant.split()
    torch.set_num_threads(THREADS)
    if name != "torch":
        start_runtime(torch.device("cpu"), precision="fp32", threads=THREADS)
    backbone = build_backbone(ARCHITECTURE)
    network = Network(
        backbone,
        Head(backbone.pooled_dim("mean+max"), 2, dropout=0.2),
        normalization=Normalization("pretrained", 1 / 255, (0.5,) * 3, (0.5,) * 3),
        pooling="mean+max",
    )
    model = Upper(network, CUT).train()
    if name == "ours":
        speed_up_gradients(model)
    above = [each for group in backbone.groups(CUT) for each in group]
    optimizer = torch.optim.AdamW([*above, *network.head.parameters()], lr=0.001)
    activations, targets = torch.randn(SHAPE), torch.randint(0, 2, SHAPE[:1])
    seconds = []
    for _ in range(WARM + STEPS):
        start = time.perf_counter()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == "bf16"):
            outputs = model(activations)
        optimizer.zero_grad()
        nn.functional.cross_entropy(outputs.float(), targets).backward()
        optimizer.step()
        seconds.append(time.perf_counter() - start)
    return SHAPE[0] / median(seconds[WARM:])


def main() -> None:
    """Print items a second of each variant."""
    if len(sys.argv) > 1:
        print(measure(sys.argv[1]))
        return
    rates: dict[str, list[float]] = {variant: [] for variant in VARIANTS}
    for _ in range(ROUNDS):
        for variant in VARIANTS:
            command = [sys.executable, "-W", "ignore", "-m", "bench.training", variant]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            rates[variant].append(float(done.stdout))
    print(f"{ARCHITECTURE} from {CUT} up, batches of {SHAPE[0]}, {THREADS} threads")
    for variant, found in rates.items():
        print(f"{variant:12} {median(found):6.0f} items/s  ({min(found):.0f} to {max(found):.0f})")


if __name__ == "__main__":
    main()
