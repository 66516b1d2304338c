"""Tables and pictures of the race, from the files that contestants wrote.

python -m bench.race.report
"""

import json
import re
from pathlib import Path
from statistics import mean, stdev

import matplotlib as mpl

mpl.use("agg")
from matplotlib import pyplot as plt

RESULTS = Path("docs/race")
PAGE = Path("docs/benchmarks.md")
_LINE = dict[str, float]
_COLUMNS = (
    "contestant",
    "runs",
    "test accuracy of the epoch kept",
    "best of any epoch",
    "s for features",
    "s an epoch",
    "s to the end",
    "s to the plain loop's best",
)
_ORDER = ("head", "top", "plain", "fastai", "transformers", "transformers-2e-5")


def load(folder: Path) -> dict[str, list[list[_LINE]]]:
    """Return the lines of each contestant, a list for each seed."""
    found: dict[str, list[list[_LINE]]] = {}
    for path in sorted(folder.glob("*-[0-9].jsonl")):
        lines = [json.loads(text) for text in path.read_text(encoding="utf-8").splitlines()]
        found.setdefault(path.stem[:-2], []).append(lines)
    ranks = {name: rank for rank, name in enumerate(_ORDER)}
    return dict(sorted(found.items(), key=lambda each: ranks.get(each[0], len(ranks))))


def kept(lines: list[_LINE]) -> _LINE:
    """Return the epoch with the lowest validation loss, which every contestant may keep."""
    return min(lines, key=lambda line: line["val_loss"])


def write_report(folder: Path) -> None:
    """Draw docs/race.png and docs/learning-curve.png, and fill the tables of docs/benchmarks.md."""
    found = load(folder)
    race = {name: runs for name, runs in found.items() if "@" not in name}
    _draw_race(race, Path("docs/race.png"))
    curve = _curve(found)
    _draw_curve(curve, Path("docs/learning-curve.png"))
    text = PAGE.read_text(encoding="utf-8")
    for name, table in (("race", _race_table(race)), ("curve", _curve_table(curve))):
        pattern = rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)"
        text = re.sub(pattern, lambda m, table=table: m[1] + table + m[2], text, flags=re.DOTALL)
    PAGE.write_text(text, encoding="utf-8")


def _race_table(race: dict[str, list[list[_LINE]]]) -> str:
    plain = race.get("plain", [[]])[0]
    target = max((line["test_accuracy"] for line in plain), default=1.0)
    rows = ["| " + " | ".join(_COLUMNS) + " |", "|" + "---|" * len(_COLUMNS)]
    for name, runs in race.items():
        scores = [kept(lines)["test_accuracy"] for lines in runs]
        best = [max(line["test_accuracy"] for line in lines) for lines in runs]
        reached = [
            next((line["seconds"] for line in lines if line["test_accuracy"] >= target), None)
            for lines in runs
        ]
        ends = [lines[-1] for lines in runs]
        features = [line.get("features_seconds", 0.0) for line in ends]
        epochs = [
            (line["seconds"] - spent) / line["epoch"]
            for line, spent in zip(ends, features, strict=True)
        ]
        there = [each for each in reached if each is not None]
        rows.append(
            f"| {name} | {len(runs)} | {_spread(scores)} | {_spread(best)} | "
            f"{mean(features):.0f} | {mean(epochs):.3g} | "
            f"{mean(line['seconds'] for line in ends):.0f} | "
            + (f"{mean(there):.0f} ({len(there)} of {len(runs)})" if there else "never")
            + " |"
        )
    return "\n".join(rows) + "\n"


def _curve(found: dict[str, list[list[_LINE]]]) -> dict[str, dict[int, list[float]]]:
    """Return by contestant and number of training items the accuracies of its runs."""
    curve: dict[str, dict[int, list[float]]] = {}
    for name, runs in found.items():
        base = name.split("@")[0]
        if base not in ("top", "scratch"):
            continue
        for lines in runs:
            best = kept(lines)
            items = int(best["train_items"])
            curve.setdefault(base, {}).setdefault(items, []).append(best["test_accuracy"])
    return curve


def _curve_table(curve: dict[str, dict[int, list[float]]]) -> str:
    sizes = sorted({items for points in curve.values() for items in points})
    rows = ["| training items | " + " | ".join(curve) + " |", "|---|" + "---|" * len(curve)]
    for items in sizes:
        cells = [_spread(points[items]) if items in points else "" for points in curve.values()]
        rows.append(f"| {items} | " + " | ".join(cells) + " |")
    return "\n".join(rows) + "\n"


def _spread(values: list[float]) -> str:
    if len(values) == 1:
        return f"{values[0]:.4f}"
    return f"{mean(values):.4f} +- {stdev(values):.4f}"


def _draw_race(race: dict[str, list[list[_LINE]]], path: Path) -> None:
    figure, axes = plt.subplots(figsize=(8, 4.6), dpi=130, layout="constrained")
    for number, (name, runs) in enumerate(race.items()):
        for place, lines in enumerate(runs):
            axes.plot(
                [line["seconds"] for line in lines],
                [line["test_accuracy"] for line in lines],
                color=f"C{number}",
                lw=1.4,
                alpha=0.8,
                label=name if place == 0 else None,
            )
            best = kept(lines)
            axes.plot(best["seconds"], best["test_accuracy"], "o", color=f"C{number}", ms=5)
    axes.set(
        xscale="log",
        xlabel="seconds on 2 cores, judging left out (log scale)",
        ylabel="test accuracy",
        title="Accuracy over time; dots: the epoch kept",
    )
    axes.grid(alpha=0.25)
    axes.legend(frameon=False)
    figure.savefig(path, metadata={"Software": None})
    plt.close(figure)


def _draw_curve(curve: dict[str, dict[int, list[float]]], path: Path) -> None:
    figure, axes = plt.subplots(figsize=(7, 4.2), dpi=130, layout="constrained")
    for number, (name, points) in enumerate(curve.items()):
        sizes = sorted(points)
        axes.plot(sizes, [mean(points[each]) for each in sizes], color=f"C{number}", label=name)
        for each in sizes:
            axes.plot([each] * len(points[each]), points[each], ".", color=f"C{number}")
    axes.set(
        xscale="log",
        xlabel="training items (log scale)",
        ylabel="test accuracy",
        title="Transfer against scratch",
    )
    axes.grid(alpha=0.25)
    axes.legend(frameon=False)
    figure.savefig(path, metadata={"Software": None})
    plt.close(figure)


if __name__ == "__main__":
    write_report(RESULTS)
