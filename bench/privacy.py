"""Private heads beside plain ones, on the features of a finished project.

For each epsilon: accuracy on test of `train.privacy`, and of Opacus as its tutorials use it: a
linear layer on the features as they come, Poisson batches of 256, clip 1.2, SGD, 30 epochs. Opacus
gets the rate that does best on val, and is charged nothing for it; ours has the same values for all
data. Three seeds of the plain head; one thread.

    python -m bench.privacy <project>/artifacts [epsilon ...]
"""

import sys
import time
from pathlib import Path
from statistics import mean, median, stdev

import torch
from opacus import PrivacyEngine
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from pipeline.compute.device import start_runtime
from pipeline.modality.types.params import AugmentSection
from pipeline.store.store import Store
from pipeline.train.inputs import Parts, Sources, open_parts
from pipeline.train.loop import predict
from pipeline.train.params import PrivacyParams, TrainParams
from pipeline.train.plan import Plan, Recipe
from pipeline.train.recipe.params import LossParams, OptimParams, ScheduleParams
from pipeline.train.trainer import Training, open_training

SEEDS, DELTA = (1, 2, 3), 1e-5
RATES, BATCH, CLIP, EPOCHS = (0.05, 0.5, 2.0), 256, 1.2, 30
TRAIN = {
    "strategy": "head",
    "start": "zero",
    "epochs": 40,
    "batch_size": 64,
    "parts": 1,
    "dropout": 0.2,
    "batch_norm": "stored",
    "unfreeze_epochs": 0,
    "ema": 0.0,
    "mixup": 0.0,
    "cutmix": 0.0,
    "test_views": 1,
    "monitor": "loss",
    "patience": 0,
    "privacy": None,
}
OPTIM = {
    "name": "adamw",
    "lr": 0.01,
    "momentum": 0.0,
    "nesterov": False,
    "beta1": 0.9,
    "beta2": 0.999,
    "weight_decay": 0.0002,
    "clip_norm": 0.0,
    "layer_decay": 1.0,
}
PRIVATE = {"epochs": "auto", "batch_size": "full", "dropout": 0.0}


def make_plan(seed: int, epsilon: float | None) -> Plan:
    """Return the plan of a head; private where there is an epsilon."""
    train, optim, schedule = TRAIN, OPTIM, ("one_cycle", 0.1)
    if epsilon is not None:
        privacy = PrivacyParams(epsilon=epsilon, delta=DELTA, clip=0.1, center=0.1, unit="item")
        train = {**TRAIN, **PRIVATE, "privacy": privacy}
        optim = {**OPTIM, "name": "sgd", "lr": 8.0, "weight_decay": 0.0}
        schedule = ("constant", 0.0)
    recipe = Recipe(
        TrainParams.model_validate(train),
        OptimParams.model_validate(optim),
        ScheduleParams(name=schedule[0], warmup_frac=schedule[1], final_frac=0.01),
        seed,
    )
    loss = LossParams(
        name="cross_entropy", label_smoothing=0.0, class_weights="none", sample_weights=True
    )
    return Plan("classification", "label", recipe, loss, AugmentSection())


def run(plan: Plan, parts: Parts, store: Store) -> tuple[float, float]:
    """Train; return the accuracy on test, and the seconds of a step."""
    training = open_training(
        plan, parts, start_runtime(torch.device("cpu"), precision="fp32", threads=1)
    )
    seconds, start = [], time.perf_counter()
    for _ in training.run(None):
        seconds.append(time.perf_counter() - start)
        start = time.perf_counter()
    training.finish()
    return accuracy(training, store), median(seconds)


def accuracy(training: Training, store: Store) -> float:
    """Return the accuracy on test."""
    test = training.examples(training.split("test", store.rows("test")))
    outputs = predict(training.learner, test)
    return float((outputs.argmax(1) == test.targets_N).float().mean())


def opacus(parts: Parts, store: Store, epsilon: float, lr: float) -> tuple[float, float]:
    """Return the accuracy on val and on test of a linear layer that Opacus trains."""
    names = sorted(set(store.index["label"]))
    labels = torch.tensor([names.index(each) for each in store.index["label"]])
    split = {name: store.rows(name) for name in ("train", "val", "test")}
    inputs = {name: torch.from_numpy(parts.features.pooled[rows]) for name, rows in split.items()}
    data = TensorDataset(inputs["train"], labels[split["train"]])
    layer = nn.Linear(inputs["train"].shape[1], len(names))
    batch = min(BATCH, len(data) // 2)
    model, optimizer, loader = PrivacyEngine(accountant="prv").make_private_with_epsilon(
        module=layer,
        optimizer=torch.optim.SGD(layer.parameters(), lr=lr),
        data_loader=DataLoader(data, batch_size=batch),
        target_epsilon=epsilon,
        target_delta=DELTA,
        epochs=EPOCHS,
        max_grad_norm=CLIP,
    )
    for _ in range(EPOCHS):
        for rows, targets in loader:
            if len(rows):
                optimizer.zero_grad()
                nn.functional.cross_entropy(model(rows), targets).backward()
                optimizer.step()
    with torch.no_grad():
        found = {name: layer(inputs[name]).argmax(1) == labels[split[name]] for name in split}
    return float(found["val"].float().mean()), float(found["test"].float().mean())


def tell(name: str, values: list[float], note: str = "") -> None:
    """Print a line of the table."""
    print(f"{name:24} {mean(values):.4f} +- {stdev(values):.4f}  {note}", flush=True)


def main() -> None:
    """Print the table of one project."""
    folder, *asked = sys.argv[1:]
    at = Path(folder)
    weights = at / "weights"
    sources = Sources(
        at / "features/cache",
        at / "transform/store",
        at / "normalize/normalization.json",
        weights / "backbone.safetensors",
        weights / "backbone.json",
    )
    parts, store = open_parts(sources), Store.open(sources.store)
    print(f"n: train {len(store.rows('train'))}, test {len(store.rows('test'))}")
    plain = [run(make_plan(seed, None), parts, store) for seed in SEEDS]
    tell("plain", [each for each, _ in plain], f"{1e3 * plain[0][1]:.1f} ms an epoch and its val")
    for epsilon in map(float, asked or ["8", "2"]):
        ours = [run(make_plan(seed, epsilon), parts, store) for seed in SEEDS]
        tell(f"private, epsilon {epsilon:g}", [each for each, _ in ours])
        tried = {lr: [opacus(parts, store, epsilon, lr) for _ in SEEDS] for lr in RATES}
        best = max(tried, key=lambda lr: mean(val for val, _ in tried[lr]))
        tell(f"opacus, epsilon {epsilon:g}", [test for _, test in tried[best]], f"lr {best}")


if __name__ == "__main__":
    main()
