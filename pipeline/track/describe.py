"""The name and the description of a run: what people read of it in the MLflow UI."""

import os
from collections.abc import Mapping
from typing import Any

from pipeline.judge.gains import beside, doubt
from pipeline.judge.metrics import shown

_SHORT = 7
_IN_A_LINE = 3


def experiment_name() -> str | None:
    """Return the name of the `dvc exp` that this process runs in; None outside of one."""
    return os.environ.get("DVC_EXP_NAME") or None


def run_name(params: Mapping[str, Any], key: str) -> str:
    """Return a readable name: the experiment's, else strategy, a short key and the backbone.

    The UI cuts long names at their end: what tells runs apart stands first.
    """
    strategy = _param(params, "train", "strategy") or "training"
    backbone = _param(params, "weights", "architecture")
    parts = [strategy, key[:_SHORT], *([backbone] if backbone else [])]
    return experiment_name() or "-".join(parts)


def describe_version(params: Mapping[str, Any], metrics: Mapping[str, Any]) -> str:
    """Return a version's description: a line of the main numbers.

    Args:
        params: All params, by section.
        metrics: metrics.json.
    """
    first = ", ".join(_short(name, metrics) for name in shown(metrics, place=3)[:_IN_A_LINE])
    return (
        f"{first}; {metrics.get('n', '?')} test items; {_param(params, 'train', 'strategy')}, "
        f"{_param(params, 'weights', 'architecture')}"
    )


def describe_run(params: Mapping[str, Any], metrics: Mapping[str, Any], *, key: str) -> str:
    """Return a run's description in Markdown: the main numbers, and how to get it all back.

    Args:
        params: All params, by section.
        metrics: metrics.json.
        key: `dvc.key`.
    """
    lines = [
        f"**{_param(params, 'weights', 'architecture')}**, strategy "
        f"`{_param(params, 'train', 'strategy')}`, {metrics.get('n', '?')} test items",
        "",
        "| metric (test) | value | 95 % interval | baseline |",
        "|---|---|---|---|",
        *(_row(name, metrics) for name in shown(metrics, place=3)),
        "",
        *_beside(metrics),
        "Get it back: the tag `git.commit` names the commit; then",
        "",
        "```",
        "git checkout <git.commit>",
        "dvc pull --with-deps publish",
        "dvc repro",
        "```",
        "",
        f"Key `{key}`. The files that it was made with are in `lineage/`.",
    ]
    return "\n".join(lines)


def _short(name: str, metrics: Mapping[str, Any]) -> str:
    interval = _leaf(metrics, "ci95", name)
    bounds = f" ({interval['low']:.4f} to {interval['high']:.4f})" if interval else ""
    return f"{name} {metrics[name]:.4f}{bounds}"


def _row(name: str, metrics: Mapping[str, Any]) -> str:
    interval = _leaf(metrics, "ci95", name)
    bounds = f"{interval['low']:.4f} to {interval['high']:.4f}" if interval else ""
    baseline = _leaf(metrics, "baseline", name)
    text = f"{baseline:.4f}" if isinstance(baseline, int | float) else ""
    return f"| {name} | {metrics[name]:.4f} | {bounds} | {text} |"


def _beside(metrics: Mapping[str, Any]) -> list[str]:
    """Return a paragraph on the plain model, where there is one."""
    each = [
        f"{name} by {text}" for name in shown(metrics, place=1) if (text := beside(metrics, name))
    ]
    paragraph = "; ".join([*each, *filter(None, [doubt(metrics)])])
    return [f"Without transfer: {paragraph}.", ""] if each else []


def _param(params: Mapping[str, Any], section: str, key: str) -> Any:
    """Return a param, from the section that stands in place of another one where there is such."""
    data = params.get("data")
    given = [name for name, value in data.items() if value is not None] if data else []
    instead = [f"{name}.{section}" for name in given if f"{name}.{section}" in params]
    return _leaf(params, *(instead[:1] or [section]), key)


def _leaf(tree: Mapping[str, Any], *keys: str) -> Any:
    value: Any = tree
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value
