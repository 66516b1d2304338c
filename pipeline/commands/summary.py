"""What `rootstock repro` says at its end: what was made, how good it is, where to look."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipeline.ground.files import read_json
from pipeline.judge.gains import beside, doubt
from pipeline.judge.metrics import shown
from pipeline.model.promise import promise

METRICS = Path("artifacts/evaluate/metrics.json")
BUNDLE = Path("artifacts/train/bundle.json")
NORMALIZATION = Path("artifacts/normalize/normalization.json")
PUBLISHED = Path(".rootstock/published.json")
PAGE = Path("artifacts/clean/report.html")
PLOTS = (
    Path("artifacts/evaluate/plots/confusion.png"),
    Path("artifacts/evaluate/plots/worst.png"),
    Path("artifacts/evaluate/plots/worst.svg"),
    Path("artifacts/evaluate/plots/reliability.png"),
    Path("artifacts/evaluate/plots/scatter.png"),
    Path("artifacts/clean/plots/quarantined.png"),
    Path("artifacts/clean/plots/quarantined.svg"),
)

_NEXT = (
    "  next       make ui                                  compare runs in the browser",
    "             dvc exp run -S train.dropout=0.4         try another setting",
    "             git add -A && git commit && dvc push     share the result",
)


def summarize(*, elapsed_s: float, changed: Sequence[str] = ()) -> str:
    """Return the summary as text for a terminal.

    Args:
        elapsed_s: Of the run.
        changed: Stages that have to run still; a result of before them is not shown.
    """
    page = [f"  data       {PAGE}"] if PAGE.exists() else []
    if changed:
        told = [f"  not run    {', '.join(changed)}, nor what needs them; numbers come with them"]
        body = [*told, *page, "  next       rootstock repro"]
    else:
        body = [*_result(), *page, *_plots(), *_NEXT]
    return "\n".join(["", f"Done in {_duration(elapsed_s)}.", *body, ""])


def _plots() -> list[str]:
    plots = [str(path) for path in PLOTS if path.exists()]
    return ["  plots      " + "\n             ".join(plots)] if plots else []


def _result() -> list[str]:
    lines: list[str] = []
    for path, told in (
        (METRICS, _metrics),
        (BUNDLE, _private),
        (NORMALIZATION, _cut_off),
        (PUBLISHED, _published),
    ):
        lines += told(read_json(path)) if path.exists() else []
    return lines


def _metrics(metrics: dict[str, Any]) -> list[str]:
    lines: list[str] = []
    for name in shown(metrics, place=1):
        title = "" if lines else "test"
        text = f"  {title:<10} {name} {metrics[name]:.4f}"
        interval = metrics.get("ci95", {}).get(name)
        if interval:
            text += f"  (95 % interval {interval['low']:.4f} to {interval['high']:.4f})"
        baseline = metrics.get("baseline", {})
        if isinstance(baseline, dict) and name in baseline:
            text += f"  baseline {baseline[name]:.4f}"
        if plain := beside(metrics, name):
            text += f"  {plain}"
        lines.append(text)
    told = [f"             {warning}"] if (warning := doubt(metrics)) else []
    return [*lines, f"             n = {metrics['n']}", *told]


def _private(bundle: dict[str, Any]) -> list[str]:
    """Say what is promised of the units of train, where anything is."""
    told = bundle.get("privacy")
    return [f"  privacy    {promise(told)}"] if told else []


def _cut_off(normalization: dict[str, Any]) -> list[str]:
    """Say how many items were not read to their ends, where that is counted."""
    splits = normalization.get("splits", {}).values()
    count = sum(each.get("cut_off", 0) for each in splits)
    if not count:
        return []
    total, most = sum(each["items"] for each in splits), normalization["max_tokens"]
    return [
        f"  cut off    {count} of {total} texts are longer than {most} tokens; the rest of each is "
        "not read (text.transform.max_tokens)"
    ]


def _published(published: dict[str, Any]) -> list[str]:
    lines = [f"  run        {published.get('run_name')}  ({published.get('run_id')})"]
    if published.get("version") is not None:
        aliases = ", ".join(f"@{alias}" for alias in published.get("aliases", []))
        lines.append(f"  model      models:/{published['name']}/{published['version']}  {aliases}")
        if published.get("decision"):
            lines.append(f"             {published['decision']}")
    return lines


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
