"""What parts of a step cost on one rank, and what a second rank brings.

Conditions: EfficientNet-Lite0 with random weights, every layer trained, batches of 32 random
pictures of 224 px, stored batch statistics, AdamW, dropout 0.2, one thread a process, the precision
that `auto` chooses. Parts 1, 2 and 4 take a step each in turn, in one process: CPU milliseconds,
the median of 4 after 1, so that a load by others disturbs little. Ranks 1 and 2 share parts 4: CPU
time of a process, time by the clock, and the share of it in exchanges, waiting for the other one
included. Two cores cannot show what more ranks bring, nor what GPUs do.

    python -m bench.engine.ranks
"""

import time
from collections.abc import Iterator
from functools import partial
from statistics import median
from typing import Any, NamedTuple

import torch

from pipeline.compute.device import choose_device, open_runtime
from pipeline.compute.params import RuntimeParams
from pipeline.model.head import Head
from pipeline.model.network import Network
from pipeline.picture.net.backbones import build_backbone
from pipeline.picture.shelf.normalization import Normalization
from pipeline.train.local_ranks import run_ranks
from pipeline.train.params import TrainParams
from pipeline.train.parts import step_in_parts
from pipeline.train.plan import Recipe
from pipeline.train.ranks import ALONE, Ranks, digest
from pipeline.train.recipe.losses import Loss
from pipeline.train.recipe.optim import build_optimizer
from pipeline.train.recipe.params import OptimParams, ScheduleParams
from pipeline.train.step import Batch, Learner, mean_step

ARCHITECTURE, ITEMS, SIZE_PX, CLASSES = "tf_efficientnet_lite0", 32, 224, 10
WARM, STEPS = 1, 4
RUNTIME = RuntimeParams(seed=1, threads=1, device="auto", precision="auto", compile=False)


class Timed(Ranks):
    """Ranks that note how long their exchanges take."""

    seconds = 0.0

    def exchange(self, *arguments: Any) -> list[torch.Tensor]:
        """Exchange, and note the time."""
        start = time.perf_counter()
        found = super().exchange(*arguments)
        self.seconds += time.perf_counter() - start
        return found

    def gather(self, rows: torch.Tensor) -> torch.Tensor:
        """Gather, and note the time."""
        start = time.perf_counter()
        found = super().gather(rows)
        self.seconds += time.perf_counter() - start
        return found


class Took(NamedTuple):
    """What steps took, in milliseconds a step; the share of exchanges, 0..1."""

    cpu_ms: float
    clock_ms: float
    share: float
    digest: str


class Stepper:
    """A network that takes steps in some number of parts, always on the same batch."""

    def __init__(self, parts: int, ranks: Ranks) -> None:
        self.parts, self.ranks = parts, ranks
        runtime = open_runtime(RUNTIME)
        torch.manual_seed(1)
        backbone = build_backbone(ARCHITECTURE)
        head = Head(backbone.pooled_dim("mean+max"), CLASSES, dropout=0.2)
        scaling = Normalization("pretrained", 1 / 255, (0.5,) * 3, (0.5,) * 3)
        network = Network(backbone, head, normalization=scaling, pooling="mean+max")
        backbone.speed_up()
        network.to(runtime.device).train()
        for module in network.modules():
            if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
                module.eval()
        self.recipe = _recipe(parts)
        optimizer = build_optimizer([list(network.parameters())], self.recipe.optim)
        loss = Loss("cross_entropy", 0.0, None)
        self.learner = Learner(
            network, optimizer, loss, lambda outputs, targets: {}, runtime.autocast, ranks=ranks
        )
        shape = (ITEMS, 3, SIZE_PX, SIZE_PX)
        self.inputs = torch.randint(0, 256, shape, dtype=torch.uint8).to(runtime.device)
        self.targets = torch.randint(0, CLASSES, (ITEMS,)).to(runtime.device)

    def step(self) -> None:
        """Take one step."""
        if self.parts == 1:
            mean_step(self.learner, self._batch(0), self.recipe)
        else:
            step_in_parts(self.learner, self._batch, self.recipe)

    def _batch(self, part: int) -> Batch:
        torch.manual_seed(part)
        inputs, targets = (each[part :: self.parts] for each in (self.inputs, self.targets))
        return Batch(inputs, targets, torch.ones(len(inputs)).to(inputs.device), None)


def _recipe(parts: int) -> Recipe:
    train = TrainParams(
        strategy="full",
        start="zero",
        epochs=1,
        batch_size=ITEMS,
        parts=parts,
        dropout=0.2,
        batch_norm="stored",
        unfreeze_epochs=0,
        ema=0.0,
        mixup=0.0,
        cutmix=0.0,
        test_views=1,
        monitor="loss",
        patience=0,
        privacy=None,
    )
    optim = OptimParams(
        name="adamw",
        lr=0.0003,
        momentum=0.0,
        nesterov=False,
        beta1=0.9,
        beta2=0.999,
        weight_decay=0.01,
        clip_norm=0.0,
        layer_decay=1.0,
    )
    return Recipe(train, optim, ScheduleParams(name="constant", warmup_frac=0, final_frac=1), 1)


def cost_of_parts(counts: tuple[int, ...] = (1, 2, 4)) -> dict[int, float]:
    """Return CPU milliseconds a step on one rank, by the number of parts; steps in turn."""
    steppers = {parts: Stepper(parts, ALONE) for parts in counts}
    took: dict[int, list[float]] = {parts: [] for parts in counts}
    for _ in range(WARM + STEPS):
        for parts, stepper in steppers.items():
            start = time.process_time()
            stepper.step()
            took[parts].append(1000 * (time.process_time() - start))
    return {parts: median(each[WARM:]) for parts, each in took.items()}


def steps_of(parts: int, ranks: Ranks) -> Iterator[Took]:
    """Take steps as one of some ranks; tell once what they took."""
    timed = Timed(ranks.number, ranks.count)
    stepper = Stepper(parts, timed)
    stepper.step()
    timed.seconds, clock, cpu = 0.0, time.perf_counter(), time.process_time()
    for _ in range(STEPS):
        stepper.step()
    clock, cpu = time.perf_counter() - clock, time.process_time() - cpu
    share = timed.seconds / clock
    yield Took(1000 * cpu / STEPS, 1000 * clock / STEPS, share, digest([stepper.learner.model]))


def rows() -> Iterator[tuple[str, str]]:
    """Yield what was measured and its figures, line by line."""
    costs = cost_of_parts()
    for parts, cost in costs.items():
        yield f"train.parts {parts}, ranks 1", f"{cost:.0f} CPU ms a step, {cost / costs[1]:.2f}"
    device = choose_device(RUNTIME.device).type
    found = {n: next(iter(run_ranks(partial(steps_of, 4), n, device=device))) for n in (1, 2)}
    for ranks, took in found.items():
        equal = "the same weights" if took.digest == found[1].digest else "OTHER WEIGHTS"
        yield (
            f"train.parts 4, ranks {ranks}",
            f"{took.cpu_ms:.0f} CPU ms a step and rank, {took.clock_ms:.0f} ms by the clock, "
            f"{took.share:.0%} of it in exchanges, {equal}",
        )


if __name__ == "__main__":
    for name, figures in rows():
        print(f"{name:28} {figures}", flush=True)
