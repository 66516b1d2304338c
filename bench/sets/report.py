"""The tables and the picture of the many sets, from the files that contestants wrote.

python -m bench.sets.report
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from statistics import mean

import matplotlib as mpl

mpl.use("agg")
from matplotlib import pyplot as plt
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

from bench.sets.results import (
    Estimate,
    Seeds,
    Sets,
    accuracy,
    difference,
    geometric_mean,
    load,
    mean_of,
)

RESULTS = Path("docs/sets")
PAGE = Path("docs/benchmarks.md")
PICTURE = Path("docs/sets.png")
OURS, PROBE, PLAIN = "ours", "probe", "plain"
ORDER = (OURS, "head", PROBE, PLAIN, "timm", "fastai", "transformers", "autogluon")
OWN = (OURS, "head")
_COLUMNS = 4


def write_report(folder: Path) -> None:
    """Draw the picture, and fill the place between the marks of the page, if there are results."""
    sets = load(folder)
    if not sets:
        return
    _draw(sets)
    parts = [_table(set_rows(sets)), _table(summary_rows(sets)), "\n".join(sentences(sets)) + "\n"]
    parts.append(f"![Test accuracy over seconds, a panel for each set]({PICTURE.name})\n")
    text = PAGE.read_text(encoding="utf-8")
    body = "\n".join(parts)
    pattern = r"(<!-- sets -->\n).*?(<!-- /sets -->)"
    PAGE.write_text(
        re.sub(pattern, lambda marks: marks[1] + body + marks[2], text, flags=re.DOTALL), "utf-8"
    )


def set_rows(sets: Sets) -> Iterator[tuple[str, ...]]:
    """Yield the heading and a row for each set and contestant."""
    yield (
        "set",
        "contestant",
        "seeds",
        "test accuracy",
        "n test",
        "s to the end",
        "s to the probe's accuracy",
    )
    for name, contestants in sets.items():
        for contestant in _in_order(contestants):
            runs = contestants[contestant]
            yield (
                name,
                contestant,
                str(len(runs)),
                _text(accuracy(runs.values())),
                f"{mean(each.kept['test_items'] for each in runs.values()):.0f}",
                f"{mean(each.seconds for each in runs.values()):.1f}",
                _to_probe(runs, contestants.get(PROBE, {})),
            )


def summary_rows(sets: Sets) -> Iterator[tuple[str, ...]]:
    """Yield the heading and a row for each contestant: means over the sets that it has."""
    yield (
        "contestant",
        "sets",
        "mean test accuracy",
        "ours on the same sets",
        "ours minus it",
        "s of ours / s of it, geometric mean",
    )
    for name in _in_order({name for contestants in sets.values() for name in contestants}):
        there = [each for each in sets.values() if name in each]
        own = _text(mean_of([accuracy(each[name].values()) for each in there]))
        gains = _gains(sets, name)
        if name == OURS or not gains:
            yield (name, str(len(there)), own, "", "", "")
            continue
        ours = mean_of([accuracy(sets[each][OURS].values()) for each in gains])
        ratio = geometric_mean([_ratio(sets[each], name) for each in gains])
        gain = mean_of(list(gains.values()))
        yield (name, str(len(there)), own, _text(ours), _text(gain, "+"), f"{ratio:.2f}")


def sentences(sets: Sets) -> Iterator[str]:
    """Yield what the tables say of ours."""
    yield from _against_the_best(sets)
    for name in (PROBE, PLAIN):
        if gains := _gains(sets, name):
            low = {each: gain for each, gain in gains.items() if gain.mean < -2 * gain.error}
            told = ", ".join(f"{each} ({_text(gain, '+')})" for each, gain in low.items()) or "none"
            where = f"of {len(gains)} sets"
            yield f"- Below `{name}` by more than two standard errors, {where}: {told}."
    if gains := _gains(sets, PLAIN):
        ratio = geometric_mean([_ratio(sets[each], PLAIN) for each in gains])
        what = f"Seconds of ours over those of `{PLAIN}`"
        yield f"- {what}, geometric mean of {len(gains)} sets: {ratio:.2f}."
    if absent := [name for name in ORDER if not any(name in each for each in sets.values())]:
        yield f"- Without results: {', '.join(absent)}."


def _against_the_best(sets: Sets) -> Iterator[str]:
    """Yield how ours does against the peer with the best mean, of those with the most sets."""
    gains = {name: _gains(sets, name) for name in ORDER if name not in OWN}
    most = max(map(len, gains.values()))
    whole = {
        name: mean_of(list(each.values())) for name, each in gains.items() if len(each) == most > 0
    }
    if whole:
        best = min(whole, key=lambda name: whole[name].mean)
        gain = _text(whole[best], "+")
        yield f"- Best single peer, over {most} sets: `{best}`; ours minus it {gain}."


def _gains(sets: Sets, name: str) -> dict[str, Estimate]:
    """Return by set what ours has more than another; of the sets that both have."""
    found = {}
    for each, contestants in sets.items():
        gain = difference(contestants.get(OURS, {}), contestants.get(name, {}))
        if gain is not None:
            found[each] = gain
    return found


def _ratio(contestants: Mapping[str, Seeds], name: str) -> float:
    """Return how long ours takes over another, on one set."""
    ours, other = contestants[OURS], contestants[name]
    seeds = ours.keys() & other.keys()
    return geometric_mean([ours[seed].seconds / other[seed].seconds for seed in seeds])


def _to_probe(runs: Seeds, probes: Seeds) -> str:
    both = sorted(runs.keys() & probes.keys())
    if not both:
        return ""
    times = [runs[seed].seconds_to(probes[seed].accuracy) for seed in both]
    there = [each for each in times if each is not None]
    return f"{mean(there):.1f} ({len(there)} of {len(both)})" if there else "never"


def _text(found: Estimate, sign: str = "") -> str:
    return f"{found.mean:{sign}.4f} +- {found.error:.4f}"


def _in_order(names: Iterable[str]) -> list[str]:
    ranks = {name: rank for rank, name in enumerate(ORDER)}
    return sorted(names, key=lambda name: (ranks.get(name, len(ranks)), name))


def _table(rows: Iterable[tuple[str, ...]]) -> str:
    heading, *body = rows
    lines = ["| " + " | ".join(row) + " |" for row in (heading, ("---",) * len(heading), *body)]
    return "\n".join(lines) + "\n"


def _draw(sets: Sets) -> None:
    columns = min(_COLUMNS, len(sets))
    rows = -(-len(sets) // columns)
    figure, panels = plt.subplots(
        rows,
        columns,
        figsize=(3.4 * columns, 2.7 * rows + 0.5),
        dpi=110,
        layout="constrained",
        squeeze=False,
    )
    handles = {}
    for panel in panels.flat[len(sets) :]:
        panel.axis("off")
    for panel, (name, contestants) in zip(panels.flat, sets.items(), strict=False):
        for contestant in _in_order(contestants):
            color = f"C{ORDER.index(contestant) if contestant in ORDER else len(ORDER)}"
            for run in contestants[contestant].values():
                points = [(line["seconds"], line["test_accuracy"]) for line in run.lines]
                panel.plot(*zip(*points, strict=True), color=color, lw=0.9, alpha=0.6)
                kept = run.kept["seconds"]
                (handles[contestant],) = panel.plot(kept, run.accuracy, "o", color=color, ms=4)
        panel.set(title=name, xscale="log")
        panel.xaxis.set_major_locator(LogLocator(subs=(1, 3)))
        panel.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        panel.xaxis.set_minor_formatter(NullFormatter())
        panel.grid(alpha=0.25)
    figure.supxlabel("seconds, judging left out (log scale)")
    figure.supylabel("test accuracy")
    ordered = _in_order(handles)
    figure.legend(
        [handles[each] for each in ordered],
        ordered,
        loc="outside upper center",
        ncols=2 * columns,
        frameon=False,
    )
    figure.savefig(PICTURE, metadata={"Software": None})
    plt.close(figure)


if __name__ == "__main__":
    write_report(RESULTS)
