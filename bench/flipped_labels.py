"""Wrong labels, planted: how many of the first suspects they are, and what accuracy comes back.

Conditions: the present artifacts (store and cached features) and params.yaml. 5 % of the labels of
train and val are flipped, by the seeds below; the test split stays as it is. The suspects are those
of `suspects/dvc.yaml`: all items are judged, those of train and val are ranked, and the first ones,
as many as were flipped, are what a person would look at. Then models are trained on the clean
labels, on the flipped ones, and on those without the first suspects, or with the labels suggested
for them (by the model alone: a person would do better), and judged on the untouched test split.
`head`: the recipe of the suspects; `top`: the recipe of params.yaml, with one seed.

    python -m bench.flipped_labels [--top]
"""

import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean

import numpy as np

from pipeline.compute.device import Runtime, open_runtime
from pipeline.compute.engine import MachineParams
from pipeline.ground.params import load_section, read_params
from pipeline.ground.seeds import numpy_generator
from pipeline.suspects.find import judge_labels
from pipeline.suspects.heldout import Setting, head_plan, predict_held_out
from pipeline.suspects.params import SuspectsParams
from pipeline.train.inputs import Parts, Rows, Sources, open_parts
from pipeline.train.plan import Plan
from pipeline.train.trainer import open_training
from pipeline.tune.search import build_plan

PARAMS = Path("params.yaml")
ARTIFACTS = Path("artifacts")
SEEDS = (1, 2, 3)
SHARE = 0.05
QUIET = MachineParams.alone(workers=1, progress="none")


@dataclass(frozen=True)
class Flips:
    """A store with wrong labels, and what the suspects say of it."""

    parts: Parts
    flipped: np.ndarray
    """int64 rows."""

    ranked: np.ndarray
    """int64 rows of train and val, the most suspect first."""

    suggested: np.ndarray
    """The label expected for every row of the store."""

    seconds: float


def relabel(parts: Parts, labels: np.ndarray) -> Parts:
    """Return the same parts with other labels."""
    return replace(parts, store=replace(parts.store, index=parts.store.index.assign(label=labels)))


def flip(parts: Parts, params: SuspectsParams, runtime: Runtime, seed: int) -> Flips:
    """Flip labels of train and val, and look for suspects."""
    index = parts.store.index
    classes = np.array(sorted(index["label"].unique()))
    known = np.flatnonzero(index["split"].isin(["train", "val"]))
    generator = numpy_generator(seed, "flips")
    count = round(SHARE * len(known))
    flipped = np.sort(generator.choice(known, size=count, replace=False))
    labels = index["label"].to_numpy(dtype=object).copy()
    for row in flipped:
        labels[row] = generator.choice(classes[classes != labels[row]])
    changed = relabel(parts, labels)
    start = time.monotonic()
    held_out = predict_held_out(Setting("classification", changed, params, runtime, QUIET))
    verdicts = judge_labels(changed.store, held_out, params)
    seconds = time.monotonic() - start
    order = verdicts.order()
    names = np.array(held_out.targets.classes, dtype=object)
    return Flips(
        changed, flipped, order[np.isin(order, known)], names[verdicts.suggested_N], seconds
    )


def accuracy(plan: Plan, parts: Parts, runtime: Runtime, *, without: np.ndarray) -> float:
    """Train without some rows, and give the accuracy on the test split."""
    store = parts.store
    rows = Rows(*(np.setdiff1d(store.rows(name), without) for name in ("train", "val")))
    training = open_training(plan, parts, runtime, rows=rows)
    for _ in training.run(None):
        pass
    trained = training.finish()
    test = store.rows("test")
    truth = training.targets.encode(store.index["label"].iloc[test]).numpy()
    return float((trained.outputs(test).argmax(axis=1) == truth).mean())


def compare(plan: Plan, parts: Parts, flips: Flips, runtime: Runtime) -> dict[str, float]:
    """Return the test accuracy for each way to treat the first suspects."""
    first = flips.ranked[: len(flips.flipped)]
    labels = flips.parts.store.index["label"].to_numpy(dtype=object).copy()
    labels[first] = flips.suggested[first]
    none = first[:0]
    return {
        "clean": accuracy(plan, parts, runtime, without=none),
        "flipped": accuracy(plan, flips.parts, runtime, without=none),
        "flips dropped": accuracy(plan, flips.parts, runtime, without=flips.flipped),
        "suspects dropped": accuracy(plan, flips.parts, runtime, without=first),
        "suspects relabeled": accuracy(plan, relabel(parts, labels), runtime, without=none),
    }


def main() -> None:
    """Print shares and accuracies."""
    raw = read_params(PARAMS)
    params = load_section(raw, "suspects", SuspectsParams, path=PARAMS)
    top, runtime_params = build_plan(raw)
    runtime = open_runtime(runtime_params)
    parts = open_parts(
        Sources(
            ARTIFACTS / "features/cache",
            ARTIFACTS / "transform/store",
            ARTIFACTS / "normalize/normalization.json",
            ARTIFACTS / "weights/backbone.safetensors",
            ARTIFACTS / "weights/backbone.json",
        )
    )
    head = head_plan("classification", params, items=len(parts.store.rows("train")))
    shares, found = [], []
    for seed in SEEDS:
        flips = flip(parts, params, runtime, seed)
        count = len(flips.flipped)
        hits = [
            int(np.isin(flips.ranked[: factor * count], flips.flipped).sum())
            for factor in (1, 2, 4)
        ]
        shares.append(hits[0] / count)
        found.append(compare(head, parts, flips, runtime))
        print(
            f"seed {seed}: {count} flipped of {len(flips.ranked)}; {hits[0]} of the first "
            f"{count} suspects, {hits[1]} of twice and {hits[2]} of four times as many "
            f"({flips.seconds:.1f} s); head: {_tell(found[-1])}",
            flush=True,
        )
    means = {name: mean(each[name] for each in found) for name in found[0]}
    print(
        f"mean of {len(SEEDS)} seeds: {mean(shares):.3f} of the first suspects are flipped; "
        f"head: {_tell(means)}"
    )
    if "--top" in sys.argv:
        flips = flip(parts, params, runtime, SEEDS[0])
        print(f"top, seed {SEEDS[0]}: {_tell(compare(top, parts, flips, runtime))}")


def _tell(accuracies: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.4f}" for name, value in accuracies.items())


if __name__ == "__main__":
    main()
